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

    /// <inheritdoc cref="Reference.ReferenceSoftmax.Run"/>
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(ReadOnlySpan<byte> x, Span<byte> y, SoftmaxRule rule)
    {
        int max = Largest(x, rule.Flip);
        float factor = rule.Factor(Avx512Vbmi.IsSupported ? Sum512(x, 255 - max, rule) : Sum(x, 255 - max, rule));
        Span<byte> table = stackalloc byte[256];
        OutputZero zero = new(rule.OutputZeroPoint, rule.OutputSigned);
        ref float entries = ref MemoryMarshal.GetArrayDataReference(rule.Reals);
        for (int first = 0; first <= max; first += Block)
        {
            // In the order of the integers as they are, not as they count.
            Span<byte> part = table.Slice(first ^ rule.Flip, Block);
            if (first + Block - 1 < max - rule.Reach)
                part.Fill((byte)rule.OutputZeroPoint);
            else
                Results(ref Unsafe.Add(ref entries, 255 - max + first), factor, zero, ref part[0]);
        }
        VectorTable.Run(x, y, table);
    }

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
        max = Vector128.Max(max, Vector128.Shuffle(max, Vector128.Create((byte)8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7)));
        max = Vector128.Max(max, Vector128.ShiftRightLogical(max.AsUInt64(), 32).AsByte());
        max = Vector128.Max(max, Vector128.ShiftRightLogical(max.AsUInt64(), 16).AsByte());
        return Vector128.Max(max, Vector128.ShiftRightLogical(max.AsUInt64(), 8).AsByte())[0];
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static ulong Sum(ReadOnlySpan<byte> x, int window, SoftmaxRule rule)
    {
        ReadOnlySpan<uint> entries = rule.Fixed.AsSpan(window, 256);
        ulong a = 0, b = 0;
        int i = 0, flip = rule.Flip;
        for (; i <= x.Length - 2; i += 2)
        {
            a += entries[x[i] ^ flip];
            b += entries[x[i + 1] ^ flip];
        }
        return a + b + (i < x.Length ? entries[x[i] ^ flip] : 0);
    }

    /// <summary>Byte by byte of the entries: 64 look-ups, and their sums of eight.</summary>
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static ulong Sum512(ReadOnlySpan<byte> x, int window, SoftmaxRule rule)
    {
        ref byte from = ref MemoryMarshal.GetReference(x);
        ref byte planes = ref rule.Planes[window];
        Vector512<byte> flip = Vector512.Create(rule.Flip);
        int whole = x.Length & -Block, rest = x.Length - whole;
        ulong sum = 0;
        Span<byte> last = stackalloc byte[Block];
        if (rest > 0)
        {
            // Filled up with the largest integer, whose entries are taken off again.
            last.Fill((byte)(255 - window ^ rule.Flip));
            x[whole..].CopyTo(last);
            sum -= (ulong)(Block - rest) * rule.Fixed[255];
        }
        for (int p = 0; p < 4; p++, planes = ref Unsafe.Add(ref planes, SoftmaxRule.PlaneLength))
        {
            Vector512<byte> a = Vector512.LoadUnsafe(ref planes), b = Vector512.LoadUnsafe(ref planes, 64), c = Vector512.LoadUnsafe(ref planes, 128), d = Vector512.LoadUnsafe(ref planes, 192);
            Vector512<ulong> sums = default;
            for (int i = 0; i < whole; i += Block)
                sums += Eights(VectorTable.LookUp(a, b, c, d, Vector512.LoadUnsafe(ref from, (nuint)i) ^ flip));
            if (rest > 0)
                sums += Eights(VectorTable.LookUp(a, b, c, d, Vector512.LoadUnsafe(ref last[0]) ^ flip));
            sum += Vector512.Sum(sums) << 8 * p;
        }
        return sum;

        static Vector512<ulong> Eights(Vector512<byte> v) => Avx512BW.SumAbsoluteDifferences(v, Vector512<byte>.Zero).AsUInt64();
    }

    /// <summary>64 results.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Results(ref float entries, float factor, OutputZero zero, ref byte to)
    {
        if (Vector512.IsHardwareAccelerated)
        {
            Vector512<float> f = Vector512.Create(factor);
            Lanes.Pack(Lanes.Round(Vector512.LoadUnsafe(ref entries) * f), Lanes.Round(Vector512.LoadUnsafe(ref entries, 16) * f), Lanes.Round(Vector512.LoadUnsafe(ref entries, 32) * f),
                Lanes.Round(Vector512.LoadUnsafe(ref entries, 48) * f), zero).StoreUnsafe(ref to);
            return;
        }
        Vector256<float> g = Vector256.Create(factor);
        for (nuint i = 0; i < Block; i += Lanes.Narrow)
        {
            Lanes.Pack(Lanes.Round(Vector256.LoadUnsafe(ref entries, i) * g), Lanes.Round(Vector256.LoadUnsafe(ref entries, i + 8) * g), Lanes.Round(Vector256.LoadUnsafe(ref entries, i + 16) * g),
                Lanes.Round(Vector256.LoadUnsafe(ref entries, i + 24) * g), zero).StoreUnsafe(ref to, i);
        }
    }
}
