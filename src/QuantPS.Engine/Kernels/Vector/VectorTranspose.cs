using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
using QuantPS.Engine.Kernels.Reference;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>Transposes bytes by blocks of 16 columns and 64, 32 or 16 rows. What is left over at an edge is covered by a block that overlaps its neighbour.</summary>
/// <remarks>With AVX-512 VBMI a permutation of bytes turns four rows of 16 into sixteen columns of 4, and two rounds of interleaving dwords make columns of 16.
/// Else four rounds interleave row i with row i + 8: after each the rows hold bytes of twice as many old rows; after four, columns.</remarks>
internal static class VectorTranspose
{
    private const int Block = 16, Tall = 64;

    /// <inheritdoc cref="ReferenceTranspose.Run"/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(ReadOnlySpan<byte> source, Span<byte> target, int rows, int columns, int r0, int r1, int c0, int c1)
    {
        if (!(Sse2.IsSupported || AdvSimd.Arm64.IsSupported) || (rows < Block && columns < Block))
        {
            ReferenceTranspose.Run(source, target, rows, columns, r0, r1, c0, c1);
            return;
        }
        if (rows < Block)
        {
            FewRows(source, target, rows, columns, c0, c1);
            return;
        }
        if (columns < Block)
        {
            FewColumns(source, target, rows, columns, r0, r1);
            return;
        }
        ref byte from = ref MemoryMarshal.GetReference(source);
        ref byte to = ref MemoryMarshal.GetReference(target);
        for (int i = c0; i < c1; i += Block)
        {
            int c = Math.Min(i, columns - Block), r = r0;
            if (Avx512Vbmi.IsSupported)
            {
                for (; r <= r1 - Tall; r += Tall)
                {
                    Prefetch(ref Unsafe.Add(ref from, r * columns + c), columns, (i - c0) & (Tall - 1));
                    Tall512(ref Unsafe.Add(ref from, r * columns + c), columns, ref Unsafe.Add(ref to, c * rows + r), rows);
                }
                for (; r <= r1 - 2 * Block; r += 2 * Block)
                    Double512(ref Unsafe.Add(ref from, r * columns + c), columns, ref Unsafe.Add(ref to, c * rows + r), rows);
            }
            else if (Avx2.IsSupported)
            {
                for (; r <= r1 - 2 * Block; r += 2 * Block)
                    Double256(ref Unsafe.Add(ref from, r * columns + c), columns, ref Unsafe.Add(ref to, c * rows + r), rows);
                if (r1 - r > Block)
                {
                    // Two squares that overlap.
                    Double256(ref Unsafe.Add(ref from, r * columns + c), columns, ref Unsafe.Add(ref to, c * rows + r), rows, r1 - r - Block);
                    continue;
                }
            }
            for (; r < r1; r += Block)
            {
                int at = Math.Min(r, rows - Block);
                Square(ref Unsafe.Add(ref from, at * columns + c), columns, ref Unsafe.Add(ref to, c * rows + at), rows);
            }
        }
    }

    /// <summary>Planes to pixels of fewer than 16 bytes. A block is stored whole, over pixels that are still to come; the last ones are stored exactly.</summary>
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void FewRows(ReadOnlySpan<byte> source, Span<byte> target, int rows, int columns, int c0, int c1)
    {
        Span<byte> block = stackalloc byte[Block * Block], turned = stackalloc byte[Block * Block];
        int c = rows > FewChannels.Most ? c0 : FewChannels512.IsSupported ? FewChannels512.Interleave(source, target, rows, columns, c0, c1)
            : FewChannels.Interleave(source, target, rows, columns, c0, c1);
        for (; c < c1; c += Block)
        {
            int count = Math.Min(Block, c1 - c);
            bool whole = (rows - 1) * columns + c + Block <= source.Length;
            if (!whole)
            {
                for (int r = 0; r < rows; r++)
                    source.Slice(r * columns + c, count).CopyTo(block[(r * Block)..]);
            }
            Square128(ref whole ? ref Unsafe.AsRef(in source[c]) : ref block[0], whole ? columns : Block, ref turned[0], Block, rows);
            // Pixel by pixel, each over the left-overs of the one before.
            Span<byte> to = target[(c * rows)..(c1 * rows)];
            int at = 0;
            for (; at < count && at * rows + Block <= to.Length; at++)
                Vector128.LoadUnsafe(ref turned[at * Block]).StoreUnsafe(ref to[at * rows]);
            for (; at < count; at++)
                turned.Slice(at * Block, rows).CopyTo(to[(at * rows)..]);
        }
    }

    /// <summary>Pixels of fewer than 16 bytes to planes.</summary>
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void FewColumns(ReadOnlySpan<byte> source, Span<byte> target, int rows, int columns, int r0, int r1)
    {
        Span<byte> block = stackalloc byte[Block * Block + Block], turned = stackalloc byte[Block * Block];
        int i = columns > FewChannels.Most ? r0 : FewChannels512.IsSupported ? FewChannels512.Separate(source, target, rows, columns, r0, r1)
            : FewChannels.Separate(source, target, rows, columns, r0, r1);
        for (; i < r1; i += Block)
        {
            int r = Math.Min(i, rows - Block);
            ReadOnlySpan<byte> from = source[(r * columns)..];
            // A load takes 16 bytes, wherever a pixel ends.
            bool whole = from.Length >= Block * columns + Block;
            if (!whole)
                from[..(Block * columns)].CopyTo(block);
            Square(ref whole ? ref Unsafe.AsRef(in from[0]) : ref block[0], columns, ref turned[0], Block);
            for (int c = 0; c < columns; c++)
                Vector128.LoadUnsafe(ref turned[c * Block]).StoreUnsafe(ref target[c * rows + r]);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<byte> Rows4(ref byte from, int pitch)
    {
        Vector128<byte> a = Vector128.LoadUnsafe(ref from), b = Vector128.LoadUnsafe(ref Unsafe.Add(ref from, pitch));
        Vector128<byte> c = Vector128.LoadUnsafe(ref Unsafe.Add(ref from, 2 * pitch)), d = Vector128.LoadUnsafe(ref Unsafe.Add(ref from, 3 * pitch));
        // Built up from below: Create would clear the lower half first.
        return a.ToVector256Unsafe().WithUpper(b).ToVector512Unsafe().WithUpper(c.ToVector256Unsafe().WithUpper(d));
    }

    /// <summary>A quarter of 64 rows, two tiles ahead: that many streams are more than the processor foresees.</summary>
    private static unsafe void Prefetch(ref byte from, int pitch, int first)
    {
        for (int r = first; r < first + Block; r++)
            Sse.Prefetch0(Unsafe.AsPointer(ref Unsafe.Add(ref from, r * pitch + 2 * Tall)));
    }

    /// <summary>16 x 16.</summary>
    internal static void Square(ref byte from, int fromPitch, ref byte to, int toPitch)
    {
        if (Avx512Vbmi.IsSupported)
            Square512(ref from, fromPitch, ref to, toPitch);
        else
            Square128(ref from, fromPitch, ref to, toPitch, Block);
    }

    /// <summary>Lane l of vector k is column 4 l + k of 16 rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector512<byte> K0, Vector512<byte> K1, Vector512<byte> K2, Vector512<byte> K3) Columns512(ref byte from, int pitch)
    {
        Vector512<byte> order = Vector512.Create(
            (byte)0, 16, 32, 48, 1, 17, 33, 49, 2, 18, 34, 50, 3, 19, 35, 51, 4, 20, 36, 52, 5, 21, 37, 53, 6, 22, 38, 54, 7, 23, 39, 55,
            8, 24, 40, 56, 9, 25, 41, 57, 10, 26, 42, 58, 11, 27, 43, 59, 12, 28, 44, 60, 13, 29, 45, 61, 14, 30, 46, 62, 15, 31, 47, 63);
        Vector512<int> a = Avx512Vbmi.PermuteVar64x8(Rows4(ref from, pitch), order).AsInt32();
        Vector512<int> b = Avx512Vbmi.PermuteVar64x8(Rows4(ref Unsafe.Add(ref from, 4 * pitch), pitch), order).AsInt32();
        Vector512<int> c = Avx512Vbmi.PermuteVar64x8(Rows4(ref Unsafe.Add(ref from, 8 * pitch), pitch), order).AsInt32();
        Vector512<int> d = Avx512Vbmi.PermuteVar64x8(Rows4(ref Unsafe.Add(ref from, 12 * pitch), pitch), order).AsInt32();
        Vector512<long> abLow = Avx512F.UnpackLow(a, b).AsInt64(), abHigh = Avx512F.UnpackHigh(a, b).AsInt64();
        Vector512<long> cdLow = Avx512F.UnpackLow(c, d).AsInt64(), cdHigh = Avx512F.UnpackHigh(c, d).AsInt64();
        return (Avx512F.UnpackLow(abLow, cdLow).AsByte(), Avx512F.UnpackHigh(abLow, cdLow).AsByte(),
            Avx512F.UnpackLow(abHigh, cdHigh).AsByte(), Avx512F.UnpackHigh(abHigh, cdHigh).AsByte());
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Square512(ref byte from, int fromPitch, ref byte to, int toPitch)
    {
        (Vector512<byte> k0, Vector512<byte> k1, Vector512<byte> k2, Vector512<byte> k3) = Columns512(ref from, fromPitch);
        Store(k0, ref to, toPitch);
        Store(k1, ref Unsafe.Add(ref to, toPitch), toPitch);
        Store(k2, ref Unsafe.Add(ref to, 2 * toPitch), toPitch);
        Store(k3, ref Unsafe.Add(ref to, 3 * toPitch), toPitch);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static void Store(Vector512<byte> columns, ref byte to, int pitch)
        {
            Avx512F.ExtractVector128(columns, 0).StoreUnsafe(ref to);
            Avx512F.ExtractVector128(columns, 1).StoreUnsafe(ref Unsafe.Add(ref to, 4 * pitch));
            Avx512F.ExtractVector128(columns, 2).StoreUnsafe(ref Unsafe.Add(ref to, 8 * pitch));
            Avx512F.ExtractVector128(columns, 3).StoreUnsafe(ref Unsafe.Add(ref to, 12 * pitch));
        }
    }

    /// <summary>32 rows x 16 columns: two squares, whose columns are put end to end.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Double512(ref byte from, int fromPitch, ref byte to, int toPitch)
    {
        (Vector512<byte> a0, Vector512<byte> a1, Vector512<byte> a2, Vector512<byte> a3) = Columns512(ref from, fromPitch);
        (Vector512<byte> b0, Vector512<byte> b1, Vector512<byte> b2, Vector512<byte> b3) = Columns512(ref Unsafe.Add(ref from, 16 * fromPitch), fromPitch);
        Store(a0, b0, ref to, toPitch);
        Store(a1, b1, ref Unsafe.Add(ref to, toPitch), toPitch);
        Store(a2, b2, ref Unsafe.Add(ref to, 2 * toPitch), toPitch);
        Store(a3, b3, ref Unsafe.Add(ref to, 3 * toPitch), toPitch);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static void Store(Vector512<byte> a, Vector512<byte> b, ref byte to, int pitch)
        {
            Vector512<long> low = Avx512F.PermuteVar8x64x2(a.AsInt64(), Vector512.Create(0L, 1, 8, 9, 2, 3, 10, 11), b.AsInt64());
            Vector512<long> high = Avx512F.PermuteVar8x64x2(a.AsInt64(), Vector512.Create(4L, 5, 12, 13, 6, 7, 14, 15), b.AsInt64());
            low.GetLower().AsByte().StoreUnsafe(ref to);
            Avx512F.ExtractVector256(low, 1).AsByte().StoreUnsafe(ref Unsafe.Add(ref to, 4 * pitch));
            high.GetLower().AsByte().StoreUnsafe(ref Unsafe.Add(ref to, 8 * pitch));
            Avx512F.ExtractVector256(high, 1).AsByte().StoreUnsafe(ref Unsafe.Add(ref to, 12 * pitch));
        }
    }

    /// <summary>64 rows x 16 columns: four squares, whose columns are put end to end.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Tall512(ref byte from, int fromPitch, ref byte to, int toPitch)
    {
        (Vector512<byte> a0, Vector512<byte> a1, Vector512<byte> a2, Vector512<byte> a3) = Columns512(ref from, fromPitch);
        (Vector512<byte> b0, Vector512<byte> b1, Vector512<byte> b2, Vector512<byte> b3) = Columns512(ref Unsafe.Add(ref from, 16 * fromPitch), fromPitch);
        (Vector512<byte> c0, Vector512<byte> c1, Vector512<byte> c2, Vector512<byte> c3) = Columns512(ref Unsafe.Add(ref from, 32 * fromPitch), fromPitch);
        (Vector512<byte> d0, Vector512<byte> d1, Vector512<byte> d2, Vector512<byte> d3) = Columns512(ref Unsafe.Add(ref from, 48 * fromPitch), fromPitch);
        Store(a0, b0, c0, d0, ref to, toPitch);
        Store(a1, b1, c1, d1, ref Unsafe.Add(ref to, toPitch), toPitch);
        Store(a2, b2, c2, d2, ref Unsafe.Add(ref to, 2 * toPitch), toPitch);
        Store(a3, b3, c3, d3, ref Unsafe.Add(ref to, 3 * toPitch), toPitch);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static void Store(Vector512<byte> a, Vector512<byte> b, Vector512<byte> c, Vector512<byte> d, ref byte to, int pitch)
        {
            // Lanes 0 and 1, 2 and 3 of two vectors; then the even and the odd lanes of those.
            Vector512<long> abLow = Avx512F.Shuffle4x128(a.AsInt64(), b.AsInt64(), 0x44), abHigh = Avx512F.Shuffle4x128(a.AsInt64(), b.AsInt64(), 0xEE);
            Vector512<long> cdLow = Avx512F.Shuffle4x128(c.AsInt64(), d.AsInt64(), 0x44), cdHigh = Avx512F.Shuffle4x128(c.AsInt64(), d.AsInt64(), 0xEE);
            Avx512F.Shuffle4x128(abLow, cdLow, 0x88).AsByte().StoreUnsafe(ref to);
            Avx512F.Shuffle4x128(abLow, cdLow, 0xDD).AsByte().StoreUnsafe(ref Unsafe.Add(ref to, 4 * pitch));
            Avx512F.Shuffle4x128(abHigh, cdHigh, 0x88).AsByte().StoreUnsafe(ref Unsafe.Add(ref to, 8 * pitch));
            Avx512F.Shuffle4x128(abHigh, cdHigh, 0xDD).AsByte().StoreUnsafe(ref Unsafe.Add(ref to, 12 * pitch));
        }
    }

    /// <summary>16 x 16, of which the lower rows may be missing.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Square128(ref byte from, int fromPitch, ref byte to, int toPitch, int rows)
    {
        (Vector128<byte> a0, Vector128<byte> a1, Vector128<byte> a2, Vector128<byte> a3) = Rounds(Row(ref from, fromPitch, 0, rows), Row(ref from, fromPitch, 4, rows), Row(ref from, fromPitch, 8, rows), Row(ref from, fromPitch, 12, rows));
        (Vector128<byte> b0, Vector128<byte> b1, Vector128<byte> b2, Vector128<byte> b3) = Rounds(Row(ref from, fromPitch, 1, rows), Row(ref from, fromPitch, 5, rows), Row(ref from, fromPitch, 9, rows), Row(ref from, fromPitch, 13, rows));
        (Vector128<byte> c0, Vector128<byte> c1, Vector128<byte> c2, Vector128<byte> c3) = Rounds(Row(ref from, fromPitch, 2, rows), Row(ref from, fromPitch, 6, rows), Row(ref from, fromPitch, 10, rows), Row(ref from, fromPitch, 14, rows));
        (Vector128<byte> d0, Vector128<byte> d1, Vector128<byte> d2, Vector128<byte> d3) = Rounds(Row(ref from, fromPitch, 3, rows), Row(ref from, fromPitch, 7, rows), Row(ref from, fromPitch, 11, rows), Row(ref from, fromPitch, 15, rows));
        Store(a0, b0, c0, d0, ref to, toPitch);
        Store(a1, b1, c1, d1, ref Unsafe.Add(ref to, 4 * toPitch), toPitch);
        Store(a2, b2, c2, d2, ref Unsafe.Add(ref to, 8 * toPitch), toPitch);
        Store(a3, b3, c3, d3, ref Unsafe.Add(ref to, 12 * toPitch), toPitch);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static Vector128<byte> Row(ref byte from, int pitch, int row, int rows) => row < rows ? Vector128.LoadUnsafe(ref Unsafe.Add(ref from, row * pitch)) : default;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static void Store(Vector128<byte> a, Vector128<byte> b, Vector128<byte> c, Vector128<byte> d, ref byte to, int pitch)
        {
            (a, b, c, d) = Rounds(a, b, c, d);
            a.StoreUnsafe(ref to);
            b.StoreUnsafe(ref Unsafe.Add(ref to, pitch));
            c.StoreUnsafe(ref Unsafe.Add(ref to, 2 * pitch));
            d.StoreUnsafe(ref Unsafe.Add(ref to, 3 * pitch));
        }
    }

    /// <summary>Two squares of 16 columns side by side in 256 bits, the second one's rows some behind the first one's.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Double256(ref byte from, int fromPitch, ref byte to, int toPitch, int apart = Block)
    {
        nint second = apart * fromPitch;
        (Vector256<byte> a0, Vector256<byte> a1, Vector256<byte> a2, Vector256<byte> a3) = Rounds(ref from, second, fromPitch);
        (Vector256<byte> b0, Vector256<byte> b1, Vector256<byte> b2, Vector256<byte> b3) = Rounds(ref Unsafe.Add(ref from, fromPitch), second, fromPitch);
        (Vector256<byte> c0, Vector256<byte> c1, Vector256<byte> c2, Vector256<byte> c3) = Rounds(ref Unsafe.Add(ref from, 2 * fromPitch), second, fromPitch);
        (Vector256<byte> d0, Vector256<byte> d1, Vector256<byte> d2, Vector256<byte> d3) = Rounds(ref Unsafe.Add(ref from, 3 * fromPitch), second, fromPitch);
        Store(a0, b0, c0, d0, ref to, toPitch, apart);
        Store(a1, b1, c1, d1, ref Unsafe.Add(ref to, 4 * toPitch), toPitch, apart);
        Store(a2, b2, c2, d2, ref Unsafe.Add(ref to, 8 * toPitch), toPitch, apart);
        Store(a3, b3, c3, d3, ref Unsafe.Add(ref to, 12 * toPitch), toPitch, apart);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static (Vector256<byte>, Vector256<byte>, Vector256<byte>, Vector256<byte>) Rounds(ref byte from, nint second, int pitch) => VectorTranspose.Rounds(
            Rows(ref from, second), Rows(ref Unsafe.Add(ref from, 4 * pitch), second), Rows(ref Unsafe.Add(ref from, 8 * pitch), second), Rows(ref Unsafe.Add(ref from, 12 * pitch), second));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static Vector256<byte> Rows(ref byte from, nint second) => Vector128.LoadUnsafe(ref from).ToVector256Unsafe().WithUpper(Vector128.LoadUnsafe(ref Unsafe.Add(ref from, second)));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static void Store(Vector256<byte> a, Vector256<byte> b, Vector256<byte> c, Vector256<byte> d, ref byte to, int pitch, int apart)
        {
            (a, b, c, d) = VectorTranspose.Rounds(a, b, c, d);
            Halves(a, ref to, apart);
            Halves(b, ref Unsafe.Add(ref to, pitch), apart);
            Halves(c, ref Unsafe.Add(ref to, 2 * pitch), apart);
            Halves(d, ref Unsafe.Add(ref to, 3 * pitch), apart);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static void Halves(Vector256<byte> v, ref byte to, int apart)
        {
            v.GetLower().StoreUnsafe(ref to);
            v.GetUpper().StoreUnsafe(ref to, (nuint)apart);
        }
    }

    /// <summary>Two rounds for rows i, i + 4, i + 8 and i + 12, which become rows 4 i to 4 i + 3.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector256<byte>, Vector256<byte>, Vector256<byte>, Vector256<byte>) Rounds(Vector256<byte> a, Vector256<byte> b, Vector256<byte> c, Vector256<byte> d)
    {
        Vector256<byte> acLow = Avx2.UnpackLow(a, c), acHigh = Avx2.UnpackHigh(a, c), bdLow = Avx2.UnpackLow(b, d), bdHigh = Avx2.UnpackHigh(b, d);
        return (Avx2.UnpackLow(acLow, bdLow), Avx2.UnpackHigh(acLow, bdLow), Avx2.UnpackLow(acHigh, bdHigh), Avx2.UnpackHigh(acHigh, bdHigh));
    }

    /// <inheritdoc cref="Rounds(Vector256{byte}, Vector256{byte}, Vector256{byte}, Vector256{byte})"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector128<byte>, Vector128<byte>, Vector128<byte>, Vector128<byte>) Rounds(Vector128<byte> a, Vector128<byte> b, Vector128<byte> c, Vector128<byte> d)
    {
        Vector128<byte> acLow = Low(a, c), acHigh = High(a, c), bdLow = Low(b, d), bdHigh = High(b, d);
        return (Low(acLow, bdLow), High(acLow, bdLow), Low(acHigh, bdHigh), High(acHigh, bdHigh));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static Vector128<byte> Low(Vector128<byte> x, Vector128<byte> y) => Sse2.IsSupported ? Sse2.UnpackLow(x, y) : AdvSimd.Arm64.ZipLow(x, y);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static Vector128<byte> High(Vector128<byte> x, Vector128<byte> y) => Sse2.IsSupported ? Sse2.UnpackHigh(x, y) : AdvSimd.Arm64.ZipHigh(x, y);
    }
}
