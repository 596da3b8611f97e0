using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
using QuantPS.Engine.Kernels.Reference;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>y[i] = table[x[i]]: 64 look-ups by two permutations of 128 entries (AVX-512 VBMI), else 16 shuffles of 16 entries each (AVX2, SSSE3, NEON).</summary>
internal static unsafe class VectorTable
{
    private const int Row = 16, Rows = 16;

    /// <summary>Entries of a table.</summary>
    public const int Entries = Row * Rows;

    // Fewer look-ups than this are not worth a block.
    private const int LeastRest = 6;

    // Fewer look-ups than this are not worth a table of their own.
    private const int LeastOwn = 8 * Entries;

    private static readonly byte[] Identity = [.. Enumerable.Range(0, Entries).Select(i => (byte)i)];

    /// <summary>Every byte, in order.</summary>
    public static ReadOnlySpan<byte> Bytes => Identity;

    /// <summary>Whether so many results are made sooner by working out a table first.</summary>
    public static bool Pays(int length) => Avx2.IsSupported && length >= LeastOwn;

    /// <param name="x">Indices.</param>
    /// <param name="y">Receives as many entries; may be x itself.</param>
    /// <param name="table">256 entries.</param>
    public static void Run(ReadOnlySpan<byte> x, Span<byte> y, ReadOnlySpan<byte> table)
    {
        ref byte from = ref MemoryMarshal.GetReference(x);
        ref byte to = ref MemoryMarshal.GetReference(y);
        ref byte entries = ref MemoryMarshal.GetReference(table);
        int i = Avx512Vbmi.IsSupported ? Run512(ref from, ref to, ref entries, x.Length)
            : Avx2.IsSupported ? Run256(ref from, ref to, ref entries, x.Length)
            : Ssse3.IsSupported || AdvSimd.Arm64.IsSupported ? Run128(ref from, ref to, ref entries, x.Length)
            : 0;
        if (Avx512Vbmi.IsSupported && x.Length - i >= LeastRest)
            Rest512(x[i..], y[i..], ref entries);
        else
            ReferenceTable.Run(x[i..], y[i..], table);
    }

    [SkipLocalsInit]
    private static void Rest512(ReadOnlySpan<byte> x, Span<byte> y, ref byte table)
    {
        Span<byte> block = stackalloc byte[Vector512<byte>.Count];
        x.CopyTo(block);
        Run512(ref block[0], ref block[0], ref table, block.Length);
        block[..y.Length].CopyTo(y);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Run512(ref byte from, ref byte to, ref byte table, int length)
    {
        Vector512<byte> a = Vector512.LoadUnsafe(ref table), b = Vector512.LoadUnsafe(ref table, 64), c = Vector512.LoadUnsafe(ref table, 128), d = Vector512.LoadUnsafe(ref table, 192);
        int i = 0;
        for (; i <= length - 64; i += 64)
            LookUp(a, b, c, d, Vector512.LoadUnsafe(ref from, (nuint)i)).StoreUnsafe(ref to, (nuint)i);
        return i;
    }

    /// <summary>64 look-ups in a table of 256 bytes. The permutations look at seven bits of an index; the eighth says which of them counts.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<byte> LookUp(Vector512<byte> a, Vector512<byte> b, Vector512<byte> c, Vector512<byte> d, Vector512<byte> index)
    {
        Vector512<byte> low = Avx512Vbmi.PermuteVar64x8x2(a, index, b), high = Avx512Vbmi.PermuteVar64x8x2(c, index, d);
        return Vector512.ConditionalSelect(Vector512.LessThan(index.AsSByte(), default).AsByte(), high, low);
    }

    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Run256(ref byte from, ref byte to, ref byte table, int length)
    {
        byte* rows = stackalloc byte[Entries];
        int i = 0;
        if (length >= Lanes.Narrow)
            Differences(ref table, rows);
        for (; i <= length - 64; i += 64)
        {
            (Vector256<byte> a, Vector256<byte> b) = LookUp(rows, Vector256.LoadUnsafe(ref from, (nuint)i), Vector256.LoadUnsafe(ref from, (nuint)i + 32));
            a.StoreUnsafe(ref to, (nuint)i);
            b.StoreUnsafe(ref to, (nuint)i + 32);
        }
        for (; i <= length - 32; i += 32)
        {
            Vector256<byte> index = Vector256.LoadUnsafe(ref from, (nuint)i);
            LookUp(rows, index, index).First.StoreUnsafe(ref to, (nuint)i);
        }
        return i;
    }

    /// <summary>A table as <see cref="LookUp(byte*, Vector256{byte}, Vector256{byte})"/> takes it: rows of 16 entries, exclusive-or'd with the row before in the same half.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Differences(ref byte table, byte* rows)
    {
        for (int half = 0; half < Entries; half += Entries / 2)
        {
            Vector128<byte> before = default;
            for (int row = half; row < half + Entries / 2; row += Row)
            {
                Vector128<byte> entries = Vector128.LoadUnsafe(ref table, (nuint)row);
                (entries ^ before).Store(rows + row);
                before = entries;
            }
        }
    }

    /// <summary>Twice 32 look-ups in the differences of a table.</summary>
    /// <remarks>pshufb looks at the lowest four bits of an index, and gives 0 where its sign bit is set. Row by row 16 is taken from the indices, with saturation
    /// at -128: of an index below 128 the rows up to its own count, and their differences are, exclusive-or'd, the own row's entry; from 128 on the same in
    /// the upper half, where the indices are 128 less.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (Vector256<byte> First, Vector256<byte> Second) LookUp(byte* rows, Vector256<byte> first, Vector256<byte> second)
    {
        Vector256<sbyte> lowFirst = first.AsSByte(), lowSecond = second.AsSByte(), middle = Vector256.Create(sbyte.MinValue), step = Vector256.Create((sbyte)Row);
        Vector256<sbyte> highFirst = lowFirst ^ middle, highSecond = lowSecond ^ middle, a = default, b = default;
        for (byte* end = rows + Entries / 2; rows < end; rows += Row)
        {
            Vector256<sbyte> low = Avx2.BroadcastVector128ToVector256((sbyte*)rows), high = Avx2.BroadcastVector128ToVector256((sbyte*)rows + Entries / 2);
            a ^= Avx2.Shuffle(low, lowFirst) ^ Avx2.Shuffle(high, highFirst);
            b ^= Avx2.Shuffle(low, lowSecond) ^ Avx2.Shuffle(high, highSecond);
            lowFirst = Avx2.SubtractSaturate(lowFirst, step);
            highFirst = Avx2.SubtractSaturate(highFirst, step);
            lowSecond = Avx2.SubtractSaturate(lowSecond, step);
            highSecond = Avx2.SubtractSaturate(highSecond, step);
        }
        return (a.AsByte(), b.AsByte());
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Run128(ref byte from, ref byte to, ref byte table, int length)
    {
        int i = 0;
        for (; i <= length - 16; i += 16)
        {
            Vector128<byte> index = Vector128.LoadUnsafe(ref from, (nuint)i), result = default;
            for (int row = 0; row < Rows; row++, index -= Vector128.Create((byte)Row))
            {
                Vector128<byte> entries = Vector128.LoadUnsafe(ref table, (nuint)(row * Row));
                // NEON's look-up gives 0 for every index beyond 15 by itself.
                result |= AdvSimd.Arm64.IsSupported ? AdvSimd.Arm64.VectorTableLookup(entries, index)
                    : Ssse3.Shuffle(entries, Sse2.AddSaturate(index, Vector128.Create((byte)(128 - Row))));
            }
            result.StoreUnsafe(ref to, (nuint)i);
        }
        return i;
    }
}
