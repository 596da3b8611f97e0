using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>Rows with a margin: filled from end to end, then each row's bytes put over it. Rows are often the channels of a pixel, too short for copying by calls.</summary>
internal static class VectorPad
{
    // Bytes that are filled ahead: they are still in the first cache when the rows come.
    private const int Ahead = 4096;

    /// <param name="x">[rows, width].</param>
    /// <param name="y">Receives [rows, before + width + after].</param>
    /// <param name="width">Bytes of a row.</param>
    /// <param name="before">Bytes of margin in front of each row.</param>
    /// <param name="after">Bytes of margin behind it.</param>
    /// <param name="value">Of the margin.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(ReadOnlySpan<byte> x, Span<byte> y, int width, int before, int after, byte value)
    {
        int row = before + width + after, rows = y.Length / row, piece = Math.Max(1, Ahead / row);
        for (int from = 0; from < rows; from += piece)
        {
            int count = Math.Min(piece, rows - from);
            Span<byte> part = y.Slice(from * row, count * row);
            part.Fill(value);
            ref byte source = ref Unsafe.Add(ref MemoryMarshal.GetReference(x), from * width), target = ref Unsafe.Add(ref MemoryMarshal.GetReference(part), before);
            for (; count > 0; count--, source = ref Unsafe.Add(ref source, width), target = ref Unsafe.Add(ref target, row))
                Copy(ref source, ref target, width);
        }
    }

    /// <summary>By the widest steps that fit, the last of which may overlap the one before.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Copy(ref byte from, ref byte to, int count)
    {
        if (count >= Vector256<byte>.Count)
        {
            for (int i = 0; i < count; i += Vector256<byte>.Count)
            {
                nuint at = (nuint)Math.Min(i, count - Vector256<byte>.Count);
                Vector256.LoadUnsafe(ref from, at).StoreUnsafe(ref to, at);
            }
        }
        else if (count >= Vector128<byte>.Count)
        {
            nuint last = (nuint)(count - Vector128<byte>.Count);
            Vector128.LoadUnsafe(ref from).StoreUnsafe(ref to);
            Vector128.LoadUnsafe(ref from, last).StoreUnsafe(ref to, last);
        }
        else if (count >= sizeof(ulong))
        {
            int last = count - sizeof(ulong);
            Unsafe.WriteUnaligned(ref to, Unsafe.ReadUnaligned<ulong>(ref from));
            Unsafe.WriteUnaligned(ref Unsafe.Add(ref to, last), Unsafe.ReadUnaligned<ulong>(ref Unsafe.Add(ref from, last)));
        }
        else
        {
            for (int i = 0; i < count; i++)
                Unsafe.Add(ref to, i) = Unsafe.Add(ref from, i);
        }
    }
}
