using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>Sums by ONNX's rule with half the work: x * (s_x / s_z) + y * (s_y / s_z) + constant, in two fused steps. Near a tie, where that could round otherwise
/// than real values and a division do, a block is done over by <see cref="VectorBinary"/>. The same integers.</summary>
/// <remarks>
/// With X = 255 s_x / s_z and Y likewise, no intermediate is larger than 2 (X + Y). The rule's own roundings (two products, their sum, the quotient) move
/// its result by at most 3 u (X + Y) from the real number, u = 2^-24; the ratios', the constant's and the two fused steps' move ours by at most 9 u (X + Y).
/// Values that are further than 16 u (X + Y) from the middle between two integers round alike.
/// </remarks>
internal static class VectorRatioSum
{
    // VREDUCEPS: what is left of the nearest integer. VRANGEPS: the larger absolute value, without sign.
    private const byte ToNearest = 0, LargerAbsolute = 0b1011;

    private const float Unit = 1f / (1 << 24), LargestRatio = 4f;

    /// <summary>Whether this machine and the rule allow it.</summary>
    public static bool Takes(in BinaryRule rule) => Avx512DQ.IsSupported && Vector512.IsHardwareAccelerated && rule is { Operation: BinaryOperation.Add, Fused: false, Output.Divides: true }
        && OnnxSteps.Suits(rule.Output) && rule.ScaleX > 1e-30f && rule.ScaleY > 1e-30f && (double)rule.ScaleX + rule.ScaleY <= (double)LargestRatio * rule.Output.Scale;

    /// <param name="x">One operand.</param>
    /// <param name="stepX">0 for a single vector that stands for all, 1 otherwise.</param>
    /// <param name="y">The other.</param>
    /// <param name="stepY">Likewise.</param>
    /// <param name="z">Receives the sums, 64 at a time.</param>
    /// <param name="rule">One that <see cref="Takes"/>.</param>
    /// <param name="exact">A block by the rule itself.</param>
    /// <returns>How many are done.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static int Run<TX, TY, TExact>(ref byte x, int stepX, ref byte y, int stepY, Span<byte> z, in BinaryRule rule, TExact exact)
        where TX : IByteKind where TY : IByteKind where TExact : IExactBlock
    {
        ref byte to = ref MemoryMarshal.GetReference(z);
        double ratioX = (double)rule.ScaleX / rule.Output.Scale, ratioY = (double)rule.ScaleY / rule.Output.Scale;
        Vector512<float> byX = Vector512.Create((float)ratioX), byY = Vector512.Create((float)ratioY), constant = Vector512.Create((float)-(rule.ZeroX * ratioX + rule.ZeroY * ratioY));
        Vector512<float> near = Vector512.Create(0.5f - 16 * Unit * 255 * (float)(ratioX + ratioY));
        var zero = new OutputZero(rule.Output.ZeroPoint, rule.Output.Min < 0, rule.Relu);
        int i = 0;
        for (; i <= z.Length - Lanes.Wide; i += Lanes.Wide)
        {
            ref byte p = ref Unsafe.Add(ref x, i * stepX), q = ref Unsafe.Add(ref y, i * stepY);
            Vector512<float> a = Sum<TX, TY>(ref p, ref q, byX, byY, constant);
            Vector512<float> b = Sum<TX, TY>(ref Unsafe.Add(ref p, 16), ref Unsafe.Add(ref q, 16), byX, byY, constant);
            Vector512<float> c = Sum<TX, TY>(ref Unsafe.Add(ref p, 32), ref Unsafe.Add(ref q, 32), byX, byY, constant);
            Vector512<float> d = Sum<TX, TY>(ref Unsafe.Add(ref p, 48), ref Unsafe.Add(ref q, 48), byX, byY, constant);
            Vector512<float> ab = Avx512DQ.Range(Avx512DQ.Reduce(a, ToNearest), Avx512DQ.Reduce(b, ToNearest), LargerAbsolute);
            Vector512<float> cd = Avx512DQ.Range(Avx512DQ.Reduce(c, ToNearest), Avx512DQ.Reduce(d, ToNearest), LargerAbsolute);
            if (Vector512.GreaterThanAny(Avx512DQ.Range(ab, cd, LargerAbsolute), near))
                exact.Run(ref p, stepX, ref q, stepY, z.Slice(i, Lanes.Wide), rule);
            else
                Lanes.Pack(Lanes.RoundIndefinite(a), Lanes.RoundIndefinite(b), Lanes.RoundIndefinite(c), Lanes.RoundIndefinite(d), zero).StoreUnsafe(ref to, (nuint)i);
        }
        return i;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Sum<TX, TY>(ref byte p, ref byte q, Vector512<float> byX, Vector512<float> byY, Vector512<float> constant) where TX : IByteKind where TY : IByteKind =>
        Vector512.FusedMultiplyAdd(Vector512.ConvertToSingle(TX.Widen512(ref p)), byX,
            Vector512.FusedMultiplyAdd(Vector512.ConvertToSingle(TY.Widen512(ref q)), byY, constant));

    /// <summary>64 sums by the rule itself.</summary>
    internal interface IExactBlock
    {
        void Run(ref byte x, int stepX, ref byte y, int stepY, Span<byte> z, in BinaryRule rule);
    }
}
