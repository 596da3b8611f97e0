using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
using QuantPS.Engine.Kernels.Reference;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>y[i] = table[x[i]]: 64 look-ups by two permutations of 128 entries (AVX-512 VBMI), else 16 shuffles of 16 entries each (AVX2, SSSE3, NEON).</summary>
internal static class VectorTable
{
    private const int Row = 16, Rows = 16;

    // Fewer look-ups than this are not worth a block.
    private const int LeastRest = 6;

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

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Run256(ref byte from, ref byte to, ref byte table, int length)
    {
        int i = 0;
        for (; i <= length - 32; i += 32)
        {
            Vector256<byte> index = Vector256.LoadUnsafe(ref from, (nuint)i), result = default;
            for (int row = 0; row < Rows; row++, index -= Vector256.Create((byte)Row))
            {
                Vector128<byte> entries = Vector128.LoadUnsafe(ref table, (nuint)(row * Row));
                // Indices of other rows get their sign bit, for which pshufb gives 0.
                result |= Avx2.Shuffle(Vector256.Create(entries, entries), Avx2.AddSaturate(index, Vector256.Create((byte)(128 - Row))));
            }
            result.StoreUnsafe(ref to, (nuint)i);
        }
        return i;
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
