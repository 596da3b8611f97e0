using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>Additions in float32: two vectors of bytes widened to real values, added, and packed again, 64 or 32 sums at a time.</summary>
internal static class VectorAdd
{
    /// <inheritdoc cref="ReferenceAdd.Run"/>
    public static void Run(ReadOnlySpan<byte> x, ReadOnlySpan<byte> y, Span<byte> z, in AddRule rule)
    {
        // ReLU is done on the integers, which cannot tell NaN from 0.
        if (!IsOrdinary(rule) && (rule.Relu || rule.Output.Compat is not (QuantizeCompat.None or QuantizeCompat.Torch2PerTensor)))
            ReferenceAdd.Run(x, y, z, rule);
        else if (rule.Fused)
            Run<FusedReals>(x, y, z, rule);
        else
            Run<PlainReals>(x, y, z, rule);
    }

    /// <summary>Whether no sum can be NaN or come near the ends of int32 as steps.</summary>
    private static bool IsOrdinary(in AddRule rule)
    {
        const float limit = 1 << 30;
        float largest = 512f * (rule.ScaleX + rule.ScaleY);
        return largest < float.MaxValue && largest * rule.Output.Inverse < limit && rule.Output.Inverse > 0f;
    }

    private static void Run<TReal>(ReadOnlySpan<byte> x, ReadOnlySpan<byte> y, Span<byte> z, in AddRule rule) where TReal : IRealKind
    {
        if (rule.Output.Divides)
            Run<TReal, OnnxSteps>(x, y, z, rule);
        else if (IsOrdinary(rule))
            Run<TReal, OrdinarySteps>(x, y, z, rule);
        else if (rule.Output.Compat != QuantizeCompat.None)
            Run<TReal, WrappingSteps>(x, y, z, rule);
        else
            Run<TReal, TorchSteps>(x, y, z, rule);
    }

    private static void Run<TReal, TSteps>(ReadOnlySpan<byte> x, ReadOnlySpan<byte> y, Span<byte> z, in AddRule rule) where TReal : IRealKind where TSteps : IQuantizeSteps
    {
        switch (rule.SignedX, rule.SignedY)
        {
            case (false, false): Run<TReal, TSteps, UnsignedBytes, UnsignedBytes>(x, y, z, rule); break;
            case (true, true): Run<TReal, TSteps, SignedBytes, SignedBytes>(x, y, z, rule); break;
            case (false, true): Run<TReal, TSteps, UnsignedBytes, SignedBytes>(x, y, z, rule); break;
            default: Run<TReal, TSteps, SignedBytes, UnsignedBytes>(x, y, z, rule); break;
        }
    }

    [SkipLocalsInit]
    private static void Run<TReal, TSteps, TX, TY>(ReadOnlySpan<byte> x, ReadOnlySpan<byte> y, Span<byte> z, in AddRule rule)
        where TReal : IRealKind where TSteps : IQuantizeSteps where TX : IByteKind where TY : IByteKind
    {
        bool oneX = x.Length == 1, oneY = y.Length == 1;
        int i = 0;
        if (z.Length >= Lanes.Narrow)
        {
            // A single integer is spread out once; the steps over it are then 0.
            Span<byte> spreadX = stackalloc byte[Lanes.Wide], spreadY = stackalloc byte[Lanes.Wide];
            ref byte from = ref MemoryMarshal.GetReference(oneX ? (ReadOnlySpan<byte>)spreadX : x), and = ref MemoryMarshal.GetReference(oneY ? (ReadOnlySpan<byte>)spreadY : y);
            if (oneX)
                spreadX.Fill(x[0]);
            if (oneY)
                spreadY.Fill(y[0]);
            i = Vector512.IsHardwareAccelerated
                ? Run512<TReal, TSteps, TX, TY>(ref from, oneX ? 0 : 1, ref and, oneY ? 0 : 1, z, rule)
                : Run256<TReal, TSteps, TX, TY>(ref from, oneX ? 0 : 1, ref and, oneY ? 0 : 1, z, rule);
        }
        if (i == z.Length)
            return;
        int rest = z.Length - i;
        Span<byte> restX = stackalloc byte[Lanes.Wide], restY = stackalloc byte[Lanes.Wide], restZ = stackalloc byte[Lanes.Wide];
        if (oneX)
            restX.Fill(x[0]);
        else
            x[i..].CopyTo(restX);
        if (oneY)
            restY.Fill(y[0]);
        else
            y[i..].CopyTo(restY);
        Run<TReal, TSteps, TX, TY>(restX, restY, restZ, rule);
        restZ[..rest].CopyTo(z[i..]);
    }

    private static int Run512<TReal, TSteps, TX, TY>(ref byte x, int stepX, ref byte y, int stepY, Span<byte> z, in AddRule rule)
        where TReal : IRealKind where TSteps : IQuantizeSteps where TX : IByteKind where TY : IByteKind
    {
        ref byte to = ref MemoryMarshal.GetReference(z);
        Vector512<float> scaleX = Vector512.Create(rule.ScaleX), secondX = Vector512.Create(TReal.Second(rule.ScaleX, rule.ZeroX));
        Vector512<float> scaleY = Vector512.Create(rule.ScaleY), secondY = Vector512.Create(TReal.Second(rule.ScaleY, rule.ZeroY));
        Vector512<float> factor = Vector512.Create(TSteps.Factor(rule.Output));
        Vector512<int> zeroPoint = Vector512.Create(rule.Output.ZeroPoint);
        var zero = new OutputZero(rule.Output.ZeroPoint, rule.Output.Min < 0, rule.Relu);
        int i = 0;
        for (; i <= z.Length - Lanes.Wide; i += Lanes.Wide)
        {
            ref byte p = ref Unsafe.Add(ref x, i * stepX), q = ref Unsafe.Add(ref y, i * stepY);
            Vector512<int> a = Sum<TReal, TSteps, TX, TY>(ref p, ref q, scaleX, secondX, scaleY, secondY, factor, zeroPoint);
            Vector512<int> b = Sum<TReal, TSteps, TX, TY>(ref Unsafe.Add(ref p, 16), ref Unsafe.Add(ref q, 16), scaleX, secondX, scaleY, secondY, factor, zeroPoint);
            Vector512<int> c = Sum<TReal, TSteps, TX, TY>(ref Unsafe.Add(ref p, 32), ref Unsafe.Add(ref q, 32), scaleX, secondX, scaleY, secondY, factor, zeroPoint);
            Vector512<int> d = Sum<TReal, TSteps, TX, TY>(ref Unsafe.Add(ref p, 48), ref Unsafe.Add(ref q, 48), scaleX, secondX, scaleY, secondY, factor, zeroPoint);
            Lanes.Pack(a, b, c, d, zero).StoreUnsafe(ref to, (nuint)i);
        }
        return i;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<int> Sum<TReal, TSteps, TX, TY>(ref byte p, ref byte q, Vector512<float> scaleX, Vector512<float> secondX, Vector512<float> scaleY, Vector512<float> secondY,
        Vector512<float> factor, Vector512<int> zeroPoint)
        where TReal : IRealKind where TSteps : IQuantizeSteps where TX : IByteKind where TY : IByteKind
    {
        Vector512<float> v = TReal.Real(Vector512.ConvertToSingle(TX.Widen512(ref p)), scaleX, secondX)
            + TReal.Real(Vector512.ConvertToSingle(TY.Widen512(ref q)), scaleY, secondY);
        return TSteps.Steps(v, factor, zeroPoint);
    }

    private static int Run256<TReal, TSteps, TX, TY>(ref byte x, int stepX, ref byte y, int stepY, Span<byte> z, in AddRule rule)
        where TReal : IRealKind where TSteps : IQuantizeSteps where TX : IByteKind where TY : IByteKind
    {
        ref byte to = ref MemoryMarshal.GetReference(z);
        Vector256<float> scaleX = Vector256.Create(rule.ScaleX), secondX = Vector256.Create(TReal.Second(rule.ScaleX, rule.ZeroX));
        Vector256<float> scaleY = Vector256.Create(rule.ScaleY), secondY = Vector256.Create(TReal.Second(rule.ScaleY, rule.ZeroY));
        Vector256<float> factor = Vector256.Create(TSteps.Factor(rule.Output));
        Vector256<int> zeroPoint = Vector256.Create(rule.Output.ZeroPoint);
        var zero = new OutputZero(rule.Output.ZeroPoint, rule.Output.Min < 0, rule.Relu);
        int i = 0;
        for (; i <= z.Length - Lanes.Narrow; i += Lanes.Narrow)
        {
            ref byte p = ref Unsafe.Add(ref x, i * stepX), q = ref Unsafe.Add(ref y, i * stepY);
            Vector256<int> a = Sum<TReal, TSteps, TX, TY>(ref p, ref q, scaleX, secondX, scaleY, secondY, factor, zeroPoint);
            Vector256<int> b = Sum<TReal, TSteps, TX, TY>(ref Unsafe.Add(ref p, 8), ref Unsafe.Add(ref q, 8), scaleX, secondX, scaleY, secondY, factor, zeroPoint);
            Vector256<int> c = Sum<TReal, TSteps, TX, TY>(ref Unsafe.Add(ref p, 16), ref Unsafe.Add(ref q, 16), scaleX, secondX, scaleY, secondY, factor, zeroPoint);
            Vector256<int> d = Sum<TReal, TSteps, TX, TY>(ref Unsafe.Add(ref p, 24), ref Unsafe.Add(ref q, 24), scaleX, secondX, scaleY, secondY, factor, zeroPoint);
            Lanes.Pack(a, b, c, d, zero).StoreUnsafe(ref to, (nuint)i);
        }
        return i;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Sum<TReal, TSteps, TX, TY>(ref byte p, ref byte q, Vector256<float> scaleX, Vector256<float> secondX, Vector256<float> scaleY, Vector256<float> secondY,
        Vector256<float> factor, Vector256<int> zeroPoint)
        where TReal : IRealKind where TSteps : IQuantizeSteps where TX : IByteKind where TY : IByteKind
    {
        Vector256<float> v = TReal.Real(Vector256.ConvertToSingle(TX.Widen256(ref p)), scaleX, secondX)
            + TReal.Real(Vector256.ConvertToSingle(TY.Widen256(ref q)), scaleY, secondY);
        return TSteps.Steps(v, factor, zeroPoint);
    }
}
