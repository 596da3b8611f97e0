using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>Layer normalization of a row by vectors.</summary>
internal static class VectorLayerNorm
{
    private const int Block = LayerNormRule.Padding;

    // Squares of a lane are added in 32 bits over this many elements.
    private const int Chunk = 1 << 16;

    /// <inheritdoc cref="Reference.ReferenceLayerNorm.Run"/>
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(ReadOnlySpan<byte> x, Span<byte> y, LayerNormRule rule)
    {
        int whole = x.Length & -Block;
        Span<byte> last = stackalloc byte[Block];
        (long sum, long squares) = (0, 0);
        if (whole < x.Length)
        {
            // What counts as 0 adds nothing to the sums.
            last.Fill(rule.Flip);
            x[whole..].CopyTo(last);
            (sum, squares) = Sums(last, rule.Flip);
        }
        for (int i = 0; i < whole; i += Chunk)
        {
            (long s, long q) = Sums(x[i..Math.Min(whole, i + Chunk)], rule.Flip);
            sum += s;
            squares += q;
        }
        (float mean, float factor) = rule.Of(sum, squares);
        OutputZero zero = new(rule.OutputZeroPoint, rule.OutputSigned);
        Normalize(x[..whole], y[..whole], 0, mean, factor, rule, zero);
        if (whole == x.Length)
            return;
        Normalize(last, last, whole, mean, factor, rule, zero);
        last[..(x.Length - whole)].CopyTo(y[whole..]);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static (long Sum, long Squares) Sums(ReadOnlySpan<byte> x, byte flip)
    {
        ref byte from = ref MemoryMarshal.GetReference(x);
        if (Vector512.IsHardwareAccelerated)
        {
            Vector512<ulong> sum = default;
            Vector512<int> squares = default;
            Vector512<byte> f = Vector512.Create(flip);
            for (int i = 0; i < x.Length; i += Block)
            {
                Vector512<byte> v = Vector512.LoadUnsafe(ref from, (nuint)i) ^ f;
                sum += Avx512BW.SumAbsoluteDifferences(v, Vector512<byte>.Zero).AsUInt64();
                Vector512<short> a = Avx512BW.UnpackLow(v, Vector512<byte>.Zero).AsInt16(), b = Avx512BW.UnpackHigh(v, Vector512<byte>.Zero).AsInt16();
                squares += Avx512BW.MultiplyAddAdjacent(a, a) + Avx512BW.MultiplyAddAdjacent(b, b);
            }
            return ((long)Vector512.Sum(sum), Total(squares.GetLower().AsUInt32()) + Total(squares.GetUpper().AsUInt32()));
        }
        Vector256<byte> g = Vector256.Create(flip);
        if (Avx2.IsSupported)
        {
            Vector256<ulong> sum = default;
            Vector256<int> squares = default;
            for (int i = 0; i < x.Length; i += Vector256<byte>.Count)
            {
                Vector256<byte> v = Vector256.LoadUnsafe(ref from, (nuint)i) ^ g;
                sum += Avx2.SumAbsoluteDifferences(v, Vector256<byte>.Zero).AsUInt64();
                Vector256<short> a = Avx2.UnpackLow(v, Vector256<byte>.Zero).AsInt16(), b = Avx2.UnpackHigh(v, Vector256<byte>.Zero).AsInt16();
                squares += Avx2.MultiplyAddAdjacent(a, a) + Avx2.MultiplyAddAdjacent(b, b);
            }
            return ((long)Vector256.Sum(sum), Total(squares.AsUInt32()));
        }
        Vector256<uint> sums = default, all = default;
        for (int i = 0; i < x.Length; i += Vector256<byte>.Count)
        {
            (Vector256<ushort> a, Vector256<ushort> b) = Vector256.Widen(Vector256.LoadUnsafe(ref from, (nuint)i) ^ g);
            (Vector256<uint> s, Vector256<uint> t) = Vector256.Widen(a + b);
            sums += s + t;
            // 255 squared fits 16 bits.
            (Vector256<uint> c, Vector256<uint> d) = Vector256.Widen(a * a);
            (Vector256<uint> e, Vector256<uint> h) = Vector256.Widen(b * b);
            all += c + d + (e + h);
        }
        return (Total(sums), Total(all));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static long Total(Vector256<uint> v)
    {
        (Vector256<ulong> a, Vector256<ulong> b) = Vector256.Widen(v);
        return (long)Vector256.Sum(a + b);
    }

    /// <summary>Blocks of 64, the first of them at an element of the row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Normalize(ReadOnlySpan<byte> x, Span<byte> y, int first, float mean, float factor, LayerNormRule rule, OutputZero zero)
    {
        ref byte from = ref MemoryMarshal.GetReference(x);
        ref byte to = ref MemoryMarshal.GetReference(y);
        ref float gain = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(rule.Gain), first);
        ref float bias = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(rule.Bias), first);
        if (Vector512.IsHardwareAccelerated)
        {
            Vector512<float> m = Vector512.Create(mean), f = Vector512.Create(factor);
            Vector128<byte> flip = Vector128.Create(rule.Flip);
            for (nuint i = 0; i < (nuint)x.Length; i += Lanes.Wide)
            {
                Lanes.Pack(Steps(ref from, ref gain, ref bias, i, flip, m, f), Steps(ref from, ref gain, ref bias, i + 16, flip, m, f), Steps(ref from, ref gain, ref bias, i + 32, flip, m, f),
                    Steps(ref from, ref gain, ref bias, i + 48, flip, m, f), zero).StoreUnsafe(ref to, i);
            }
            return;
        }
        Vector256<float> m2 = Vector256.Create(mean), f2 = Vector256.Create(factor);
        Vector256<int> flip2 = Vector256.Create((int)rule.Flip);
        for (nuint i = 0; i < (nuint)x.Length; i += Lanes.Narrow)
        {
            Lanes.Pack(Steps(ref from, ref gain, ref bias, i, flip2, m2, f2), Steps(ref from, ref gain, ref bias, i + 8, flip2, m2, f2), Steps(ref from, ref gain, ref bias, i + 16, flip2, m2, f2),
                Steps(ref from, ref gain, ref bias, i + 24, flip2, m2, f2), zero).StoreUnsafe(ref to, i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<int> Steps(ref byte from, ref float gain, ref float bias, nuint at, Vector128<byte> flip, Vector512<float> mean, Vector512<float> factor)
    {
        Vector512<float> v = Vector512.ConvertToSingle(Lanes.Unsigned(Vector128.LoadUnsafe(ref from, at) ^ flip));
        return Lanes.Round((v - mean) * factor * Vector512.LoadUnsafe(ref gain, at) + Vector512.LoadUnsafe(ref bias, at));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Steps(ref byte from, ref float gain, ref float bias, nuint at, Vector256<int> flip, Vector256<float> mean, Vector256<float> factor)
    {
        Vector256<float> v = Vector256.ConvertToSingle(Lanes.UnsignedAt(ref Unsafe.Add(ref from, at)) ^ flip);
        return Lanes.Round((v - mean) * factor * Vector256.LoadUnsafe(ref gain, at) + Vector256.LoadUnsafe(ref bias, at));
    }
}
