using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace QuantPS.Engine.Kernels;

/// <summary>8-bit activations from planes to pixels and back.</summary>
public static class LayoutConversion
{
    private const int Block = 16;

    /// <summary>[N, C, area] to [N, area, C].</summary>
    public static void ToChannelsLast(ReadOnlyMemory<byte> source, Memory<byte> target, int batch, int channels, int area) =>
        KernelThreads.Split(batch, (from, to) =>
        {
            for (int n = from; n < to; n++)
                Transpose(source.Span.Slice(n * channels * area, channels * area), target.Span.Slice(n * channels * area, channels * area), channels, area);
        });

    /// <summary>[N, area, C] to [N, C, area].</summary>
    public static void ToContiguous(ReadOnlyMemory<byte> source, Memory<byte> target, int batch, int channels, int area) =>
        KernelThreads.Split(batch, (from, to) =>
        {
            for (int n = from; n < to; n++)
                Transpose(source.Span.Slice(n * channels * area, channels * area), target.Span.Slice(n * channels * area, channels * area), area, channels);
        });

    /// <summary>[rows, columns] to [columns, rows]: blocks of 16 x 16 by vectors, the remainders byte by byte.</summary>
    /// <remarks>Scalar equivalent: target[c * rows + r] = source[r * columns + c].</remarks>
    public static void Transpose(ReadOnlySpan<byte> source, Span<byte> target, int rows, int columns)
    {
        if (source.Length != rows * columns || target.Length != source.Length)
            throw new ArgumentException($"{source.Length} and {target.Length} bytes for {rows} x {columns}.");
        if (rows == 1 || columns == 1)
        {
            source.CopyTo(target);
            return;
        }
        int wholeRows = Sse2.IsSupported ? rows / Block * Block : 0, wholeColumns = Sse2.IsSupported ? columns / Block * Block : 0;
        ref byte from = ref MemoryMarshal.GetReference(source);
        ref byte to = ref MemoryMarshal.GetReference(target);
        for (int r = 0; r < wholeRows; r += Block)
            for (int c = 0; c < wholeColumns; c += Block)
                TransposeBlock(ref Unsafe.Add(ref from, r * columns + c), columns, ref Unsafe.Add(ref to, c * rows + r), rows);
        for (int r = 0; r < rows; r++)
            for (int c = r < wholeRows ? wholeColumns : 0; c < columns; c++)
                target[c * rows + r] = source[r * columns + c];
    }

    /// <summary>Four rounds of interleaving row i with row i + 8: after each the rows hold bytes of twice as many old rows; after four, columns.</summary>
    [SkipLocalsInit]
    private static void TransposeBlock(ref byte from, int fromPitch, ref byte to, int toPitch)
    {
        Span<Vector128<byte>> a = stackalloc Vector128<byte>[Block], b = stackalloc Vector128<byte>[Block];
        for (int i = 0; i < Block; i++)
            a[i] = Vector128.LoadUnsafe(ref Unsafe.Add(ref from, i * fromPitch));
        for (int round = 0; round < 4; round++)
        {
            for (int i = 0; i < Block / 2; i++)
            {
                b[2 * i] = Sse2.UnpackLow(a[i], a[i + Block / 2]);
                b[2 * i + 1] = Sse2.UnpackHigh(a[i], a[i + Block / 2]);
            }
            Span<Vector128<byte>> swap = a;
            a = b;
            b = swap;
        }
        for (int i = 0; i < Block; i++)
            a[i].StoreUnsafe(ref Unsafe.Add(ref to, i * toPitch));
    }
}
