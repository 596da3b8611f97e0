using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>Softmax of a row by vectors: its largest integer, its sum (with AVX-512 VBMI by look-ups of 64 at a time), and then a table of 256 results that the
/// row is looked up in.</summary>
internal static class VectorSoftmax
{
    private const int Block = 64;

    // Without VBMI a row has a table of its own, which is more work than all of a short one.
    private const int Least = 24;

    /// <summary>Whether rows of so many are quicker than one by one.</summary>
    public static bool Pays(int length) => length >= Least || Avx512Vbmi.IsSupported;

    /// <inheritdoc cref="Reference.ReferenceSoftmax.Run"/>
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(ReadOnlySpan<byte> x, Span<byte> y, SoftmaxRule rule)
    {
        if (Avx512Vbmi.IsSupported)
        {
            Run512(x, y, rule);
            return;
        }
        int max = Largest(x, rule.Flip);
        float factor = rule.Factor(Sum(x, 255 - max, rule));
        Span<byte> table = stackalloc byte[256];
        OutputZero zero = new(rule.OutputZeroPoint, rule.OutputSigned);
        ref float entries = ref MemoryMarshal.GetArrayDataReference(rule.Reals);
        Vector256<float> by = Vector256.Create(factor);
        for (int first = 0; first <= max; first += Lanes.Narrow)
        {
            // In the order of the integers as they are, not as they count.
            ref byte to = ref table[first ^ rule.Flip];
            if (first + Lanes.Narrow - 1 < max - rule.Reach)
                Vector256.Create((byte)rule.OutputZeroPoint).StoreUnsafe(ref to);
            else
                Results(ref Unsafe.Add(ref entries, 255 - max + first), by, zero).StoreUnsafe(ref to);
        }
        VectorTable.Run(x, y, table);
    }

    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Run512(ReadOnlySpan<byte> x, Span<byte> y, SoftmaxRule rule)
    {
        ref byte from = ref MemoryMarshal.GetReference(x), to = ref MemoryMarshal.GetReference(y);
        nuint whole = (nuint)(x.Length & -Block);
        int rest = x.Length - (int)whole;
        Vector512<byte> flip = Vector512.Create(rule.Flip), tail = default, inside = default, max = default;
        Span<byte> last = stackalloc byte[Block];
        if (rest > 0)
        {
            x[(int)whole..].CopyTo(last);
            inside = Vector512.LessThan(Vector512<byte>.Indices, Vector512.Create((byte)rest));
            tail = (Vector512.LoadUnsafe(ref last[0]) ^ flip) & inside;
            max = tail;
        }
        for (nuint i = 0; i < whole; i += Block)
            max = Vector512.Max(max, Vector512.LoadUnsafe(ref from, i) ^ flip);
        int largest = Largest(Vector128.Max(Vector128.Max(max.GetLower().GetLower(), max.GetLower().GetUpper()), Vector128.Max(max.GetUpper().GetLower(), max.GetUpper().GetUpper())));
        int window = 255 - largest;

        // Byte by byte of the summands: 64 look-ups, and their sums of eight.
        ref byte planes = ref rule.Planes[window];
        Vector512<ulong> sum = default;
        for (int p = 0; p < 4; p++, planes = ref Unsafe.Add(ref planes, SoftmaxRule.PlaneLength))
        {
            Vector512<byte> a = Vector512.LoadUnsafe(ref planes), b = Vector512.LoadUnsafe(ref planes, 64), c = Vector512.LoadUnsafe(ref planes, 128), d = Vector512.LoadUnsafe(ref planes, 192);
            Vector512<ulong> eights = Eights(VectorTable.LookUp(a, b, c, d, tail) & inside);
            for (nuint i = 0; i < whole; i += Block)
                eights += Eights(VectorTable.LookUp(a, b, c, d, Vector512.LoadUnsafe(ref from, i) ^ flip));
            sum += eights << 8 * p;
        }
        Vector512<float> factor = Vector512.Create(rule.Factor(Vector512.Sum(sum)));

        OutputZero zero = new(rule.OutputZeroPoint, rule.OutputSigned);
        ref float entries = ref rule.Reals[window];
        int least = largest - rule.Reach;
        Vector512<byte> none = Vector512.Create((byte)rule.OutputZeroPoint);
        Vector512<byte> t0 = least > 63 ? none : Results(ref entries, factor, zero), t1 = least > 127 || largest < 64 ? none : Results(ref Unsafe.Add(ref entries, 64), factor, zero);
        Vector512<byte> t2 = least > 191 || largest < 128 ? none : Results(ref Unsafe.Add(ref entries, 128), factor, zero), t3 = largest < 192 ? none : Results(ref Unsafe.Add(ref entries, 192), factor, zero);
        for (nuint i = 0; i < whole; i += Block)
            VectorTable.LookUp(t0, t1, t2, t3, Vector512.LoadUnsafe(ref from, i) ^ flip).StoreUnsafe(ref to, i);
        if (rest > 0)
        {
            VectorTable.LookUp(t0, t1, t2, t3, tail).StoreUnsafe(ref last[0]);
            last[..rest].CopyTo(y[(int)whole..]);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<ulong> Eights(Vector512<byte> v) => Avx512BW.SumAbsoluteDifferences(v, Vector512<byte>.Zero).AsUInt64();

    /// <summary>The largest byte after flipping.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Largest(ReadOnlySpan<byte> x, byte flip)
    {
        ref byte from = ref MemoryMarshal.GetReference(x);
        int size = Vector128<byte>.Count, i = 0;
        if (x.Length < size)
        {
            int largest = 0;
            foreach (byte b in x)
                largest = Math.Max(largest, b ^ flip);
            return largest;
        }
        Vector128<byte> f = Vector128.Create(flip), max = default;
        if (x.Length >= Vector256<byte>.Count)
        {
            Vector256<byte> f2 = Vector256.Create(flip), max2 = default;
            for (; i <= x.Length - Vector256<byte>.Count; i += Vector256<byte>.Count)
                max2 = Vector256.Max(max2, Vector256.LoadUnsafe(ref from, (nuint)i) ^ f2);
            max = Vector128.Max(max2.GetLower(), max2.GetUpper());
        }
        for (; i <= x.Length - size; i += size)
            max = Vector128.Max(max, Vector128.LoadUnsafe(ref from, (nuint)i) ^ f);
        max = Vector128.Max(max, Vector128.LoadUnsafe(ref from, (nuint)(x.Length - size)) ^ f);
        return Largest(max);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Largest(Vector128<byte> max)
    {
        max = Vector128.Max(max, Vector128.Shuffle(max, Vector128.Create((byte)8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7)));
        max = Vector128.Max(max, Vector128.ShiftRightLogical(max.AsUInt64(), 32).AsByte());
        max = Vector128.Max(max, Vector128.ShiftRightLogical(max.AsUInt64(), 16).AsByte());
        return Vector128.Max(max, Vector128.ShiftRightLogical(max.AsUInt64(), 8).AsByte())[0];
    }

    /// <summary>A look-up a byte: four at a time from one word.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static ulong Sum(ReadOnlySpan<byte> x, int window, SoftmaxRule rule)
    {
        ref uint entries = ref rule.Fixed[window];
        ref byte from = ref MemoryMarshal.GetReference(x);
        ulong a = 0, b = 0, c = 0, d = 0;
        uint flips = rule.Flip * 0x01010101u;
        int i = 0;
        for (; i <= x.Length - 4; i += 4)
        {
            uint q = Unsafe.ReadUnaligned<uint>(ref Unsafe.Add(ref from, i)) ^ flips;
            a += Unsafe.Add(ref entries, (nuint)(byte)q);
            b += Unsafe.Add(ref entries, (nuint)(byte)(q >> 8));
            c += Unsafe.Add(ref entries, (nuint)(byte)(q >> 16));
            d += Unsafe.Add(ref entries, (nuint)(q >> 24));
        }
        for (; i < x.Length; i++)
            a += Unsafe.Add(ref entries, (nuint)(byte)(x[i] ^ rule.Flip));
        return a + b + (c + d);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<byte> Results(ref float entries, Vector512<float> by, OutputZero zero) => Lanes.Pack(
        Lanes.Round(Vector512.LoadUnsafe(ref entries) * by), Lanes.Round(Vector512.LoadUnsafe(ref entries, 16) * by),
        Lanes.Round(Vector512.LoadUnsafe(ref entries, 32) * by), Lanes.Round(Vector512.LoadUnsafe(ref entries, 48) * by), zero);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<byte> Results(ref float entries, Vector256<float> by, OutputZero zero) => Lanes.Pack(
        Lanes.Round(Vector256.LoadUnsafe(ref entries) * by), Lanes.Round(Vector256.LoadUnsafe(ref entries, 8) * by),
        Lanes.Round(Vector256.LoadUnsafe(ref entries, 16) * by), Lanes.Round(Vector256.LoadUnsafe(ref entries, 24) * by), zero);
}
