using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>Images of 2 to 4 channels from planes to pixels and back, 64 pixels at a time: their bytes are a table of at most 256 entries, in which every
/// byte of the result is looked up.</summary>
internal static class FewChannels512
{
    private const int Most = FewChannels.Most;

    private const int Pixels = 64;

    // [channels][64 bytes a channel]
    private static readonly byte[][] Interleaved = [.. Enumerable.Range(0, Most + 1).Select(n => Places(n, i => i % Math.Max(n, 1) * Pixels + i / Math.Max(n, 1)))];
    private static readonly byte[][] Separated = [.. Enumerable.Range(0, Most + 1).Select(n => Places(n, i => i % Pixels * n + i / Pixels))];

    public static bool IsSupported => Avx512Vbmi.IsSupported;

    /// <summary>[rows, columns] to [columns, rows] for the columns from c0 on. Gives how far it got.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static int Interleave(ReadOnlySpan<byte> source, Span<byte> target, int rows, int columns, int c0, int c1)
    {
        ref byte from = ref MemoryMarshal.GetReference(source), to = ref MemoryMarshal.GetReference(target), places = ref Interleaved[rows][0];
        int c = c0;
        for (; c <= c1 - Pixels; c += Pixels)
        {
            Vector512<byte> p = Vector512.LoadUnsafe(ref from, (nuint)c), q = rows > 1 ? Vector512.LoadUnsafe(ref from, (nuint)(columns + c)) : default;
            Vector512<byte> r = rows > 2 ? Vector512.LoadUnsafe(ref from, (nuint)(2 * columns + c)) : default, s = rows > 3 ? Vector512.LoadUnsafe(ref from, (nuint)(3 * columns + c)) : default;
            for (int k = 0; k < rows; k++)
                VectorTable.LookUp(p, q, r, s, Vector512.LoadUnsafe(ref places, (nuint)(k * Pixels))).StoreUnsafe(ref to, (nuint)(c * rows + k * Pixels));
        }
        return c;
    }

    /// <summary>[rows, columns] to [columns, rows] for the rows from r0 on. Gives how far it got.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static int Separate(ReadOnlySpan<byte> source, Span<byte> target, int rows, int columns, int r0, int r1)
    {
        ref byte from = ref MemoryMarshal.GetReference(source), to = ref MemoryMarshal.GetReference(target), places = ref Separated[columns][0];
        int i = r0;
        for (; i <= r1 - Pixels; i += Pixels)
        {
            nuint at = (nuint)(i * columns);
            Vector512<byte> p = Vector512.LoadUnsafe(ref from, at), q = columns > 1 ? Vector512.LoadUnsafe(ref from, at + Pixels) : default;
            Vector512<byte> r = columns > 2 ? Vector512.LoadUnsafe(ref from, at + 2 * Pixels) : default, s = columns > 3 ? Vector512.LoadUnsafe(ref from, at + 3 * Pixels) : default;
            for (int k = 0; k < columns; k++)
                VectorTable.LookUp(p, q, r, s, Vector512.LoadUnsafe(ref places, (nuint)(k * Pixels))).StoreUnsafe(ref to, (nuint)(k * rows + i));
        }
        return i;
    }

    private static byte[] Places(int channels, Func<int, int> place) => [.. Enumerable.Range(0, channels * Pixels).Select(i => (byte)place(i))];
}
