using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>Pixels through a table per channel: 16 channels of 64 pixels are turned, so that each channel's 64 bytes are a vector; looked up by two permutations
/// of 128 entries (AVX-512 VBMI), else 16 shuffles of 16 entries each (AVX2); and turned back. The same as y = table of the channel [x], byte by byte.</summary>
internal static class VectorChannelTable
{
    /// <summary>Channels and pixels of a block; fewer are left to the caller.</summary>
    public const int Channels = 16, Pixels = 64;

    private const int Entries = 256;

    public static bool IsSupported => Is512 || Avx2.IsSupported;

    private static bool Is512 => Avx512Vbmi.IsSupported && Vector512.IsHardwareAccelerated;

    /// <param name="x">The first pixel's first of 16 channels.</param>
    /// <param name="y">Receives the results; may be x itself.</param>
    /// <param name="tables">The 16 tables, one behind the other.</param>
    /// <param name="step">Bytes from pixel to pixel.</param>
    /// <param name="blocks">How many times 64 pixels.</param>
    public static void Run(ReadOnlySpan<byte> x, Span<byte> y, ReadOnlySpan<byte> tables, int step, int blocks)
    {
        if (Is512)
            Run512(x, y, tables, step, blocks);
        else
            Run256(x, y, tables, step, blocks);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    [SkipLocalsInit]
    private static void Run512(ReadOnlySpan<byte> x, Span<byte> y, ReadOnlySpan<byte> tables, int step, int blocks)
    {
        Span<byte> turned = stackalloc byte[Channels * Pixels];
        ref byte block = ref MemoryMarshal.GetReference(turned), from = ref MemoryMarshal.GetReference(x), to = ref MemoryMarshal.GetReference(y);
        ref byte entries = ref MemoryMarshal.GetReference(tables);
        for (int b = 0; b < blocks; b++)
        {
            VectorTranspose.Tall512(ref from, step, ref block, Pixels);
            for (int c = 0; c < Channels; c++)
            {
                ref byte table = ref Unsafe.Add(ref entries, c * Entries), row = ref Unsafe.Add(ref block, c * Pixels);
                VectorTable.LookUp(Vector512.LoadUnsafe(ref table), Vector512.LoadUnsafe(ref table, 64), Vector512.LoadUnsafe(ref table, 128), Vector512.LoadUnsafe(ref table, 192),
                    Vector512.LoadUnsafe(ref row)).StoreUnsafe(ref row);
            }
            for (int quarter = 0; quarter < Pixels; quarter += Channels)
                VectorTranspose.Square512(ref Unsafe.Add(ref block, quarter), Pixels, ref Unsafe.Add(ref to, quarter * step), step);
            from = ref Unsafe.Add(ref from, Pixels * step);
            to = ref Unsafe.Add(ref to, Pixels * step);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    [SkipLocalsInit]
    private static unsafe void Run256(ReadOnlySpan<byte> x, Span<byte> y, ReadOnlySpan<byte> tables, int step, int blocks)
    {
        byte* rows = stackalloc byte[Channels * Entries];
        Span<byte> turned = stackalloc byte[Channels * Pixels];
        ref byte block = ref MemoryMarshal.GetReference(turned), from = ref MemoryMarshal.GetReference(x), to = ref MemoryMarshal.GetReference(y);
        for (int c = 0; c < Channels && blocks > 0; c++)
            VectorTable.Differences(ref Unsafe.Add(ref MemoryMarshal.GetReference(tables), c * Entries), rows + c * Entries);
        for (int b = 0; b < blocks; b++)
        {
            for (int half = 0; half < Pixels; half += Pixels / 2)
                VectorTranspose.Double256(ref Unsafe.Add(ref from, half * step), step, ref Unsafe.Add(ref block, half), Pixels);
            for (int c = 0; c < Channels; c++)
            {
                ref byte row = ref Unsafe.Add(ref block, c * Pixels);
                (Vector256<byte> first, Vector256<byte> second) = VectorTable.LookUp(rows + c * Entries, Vector256.LoadUnsafe(ref row), Vector256.LoadUnsafe(ref row, 32));
                first.StoreUnsafe(ref row);
                second.StoreUnsafe(ref row, 32);
            }
            for (int quarter = 0; quarter < Pixels; quarter += Channels)
                VectorTranspose.Square(ref Unsafe.Add(ref block, quarter), Pixels, ref Unsafe.Add(ref to, quarter * step), step);
            from = ref Unsafe.Add(ref from, Pixels * step);
            to = ref Unsafe.Add(ref to, Pixels * step);
        }
    }
}
