using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Kernels.Vector;

namespace QuantPS.Engine.Kernels;

/// <summary>8-bit activations from planes to pixels and back, on all threads: also a single image is shared out.</summary>
public static class LayoutConversion
{
    // Tiles are the jobs: as wide and high as a cache line, longer where a row or column has only a few bytes.
    private const int Tile = 64, LongTile = 2048, Few = 16;

    private const int LeastBytes = 64 * 1024;

    /// <summary>[N, C, area] to [N, area, C].</summary>
    /// <exception cref="ArgumentException">Lengths and sizes do not match.</exception>
    public static void ToChannelsLast(ReadOnlyMemory<byte> source, Memory<byte> target, int batch, int channels, int area) => Transpose(source, target, batch, channels, area);

    /// <summary>[N, area, C] to [N, C, area].</summary>
    /// <exception cref="ArgumentException">Lengths and sizes do not match.</exception>
    public static void ToContiguous(ReadOnlyMemory<byte> source, Memory<byte> target, int batch, int channels, int area) => Transpose(source, target, batch, area, channels);

    /// <summary>[rows, columns] to [columns, rows], on the calling thread.</summary>
    /// <exception cref="ArgumentException">Lengths and sizes do not match.</exception>
    public static void Transpose(ReadOnlySpan<byte> source, Span<byte> target, int rows, int columns)
    {
        Check(source.Length, target.Length, 1, rows, columns);
        if (rows == 1 || columns == 1)
            source.CopyTo(target);
        else
            Run(source, target, rows, columns, 0, rows, 0, columns, KernelSelector.UsesVectors);
    }

    private static void Transpose(ReadOnlyMemory<byte> source, Memory<byte> target, int batch, int rows, int columns)
    {
        int size = rows * columns;
        Check(Math.Min(source.Length, batch * size), Math.Min(target.Length, batch * size), batch, rows, columns);
        if (rows == 1 || columns == 1)
        {
            source[..(batch * size)].CopyTo(target);
            return;
        }
        var work = new Work(source, target, rows, columns, KernelSelector.UsesVectors);
        KernelThreads.Split(batch * work.Tiles, Math.Max(1, LeastBytes / Math.Max(1, size / Math.Max(1, work.Tiles))), work);
    }

    private static void Check(int source, int target, int batch, int rows, int columns)
    {
        if (source != batch * rows * columns || target != source)
            throw new ArgumentException($"{source} and {target} bytes for {batch} times {rows} x {columns}.");
    }

    private static void Run(ReadOnlySpan<byte> source, Span<byte> target, int rows, int columns, int r0, int r1, int c0, int c1, bool vectors)
    {
        if (vectors)
            VectorTranspose.Run(source, target, rows, columns, r0, r1, c0, c1);
        else
            ReferenceTranspose.Run(source, target, rows, columns, r0, r1, c0, c1);
    }

    private readonly struct Work : IKernelWork
    {
        private readonly ReadOnlyMemory<byte> source;
        private readonly Memory<byte> target;
        private readonly int rows, columns, height, width, down, across;
        private readonly bool vectors;

        public Work(ReadOnlyMemory<byte> source, Memory<byte> target, int rows, int columns, bool vectors)
        {
            (this.source, this.target, this.rows, this.columns, this.vectors) = (source, target, rows, columns, vectors);
            height = columns < Few ? LongTile : Tile;
            width = rows < Few ? LongTile : Tile;
            down = (rows + height - 1) / height;
            across = (columns + width - 1) / width;
        }

        /// <summary>Of an image.</summary>
        public int Tiles => down * across;

        public void Run(int from, int to)
        {
            int size = rows * columns;
            ReadOnlySpan<byte> images = source.Span;
            Span<byte> results = target.Span;
            for (int job = from; job < to; job++)
            {
                (int n, int tile) = Math.DivRem(job, Tiles);
                int r = tile / across * height, c = tile % across * width;
                LayoutConversion.Run(images.Slice(n * size, size), results.Slice(n * size, size), rows, columns,
                    r, Math.Min(r + height, rows), c, Math.Min(c + width, columns), vectors);
            }
        }
    }
}
