using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Kernels.Vector;

namespace QuantPS.Engine.Kernels;

/// <summary>Bytes that are found at even distances along each dimension, on all threads: y[i, j, ...] = x[start + i * stride 0 + j * stride 1 + ...]. Transposing, cutting out, repeating,
/// turning round are of this form.</summary>
/// <remarks>Rows that stay together are copied. Where the last dimension becomes another one, matrices between the two are transposed where they lie, narrow ones by way of a copy that lies dense.</remarks>
internal static class PermuteKernel
{
    private const int Least = 64 * 1024, Block = 16;

    // Less than this is picked byte by byte.
    private const int LeastMatrix = 64;

    /// <param name="x">Where bytes are taken from.</param>
    /// <param name="start">The place of the first one.</param>
    /// <param name="y">Receives them, row-major over the sizes.</param>
    /// <param name="sizes">Dimensions of the result, outermost first.</param>
    /// <param name="strides">What a step along each adds to the place in x; may be 0 or negative.</param>
    public static void Run(ReadOnlyMemory<byte> x, int start, Memory<byte> y, ReadOnlySpan<int> sizes, ReadOnlySpan<int> strides)
    {
        if (y.Length == 0)
            return;
        Span<int> size = stackalloc int[sizes.Length], stride = stackalloc int[sizes.Length];
        int rank = 0;
        for (int d = 0; d < sizes.Length; d++)
        {
            if (sizes[d] == 1)
                continue;
            // Neighbours that run through x together are one.
            if (rank > 0 && stride[rank - 1] == strides[d] * sizes[d])
                (size[rank - 1], stride[rank - 1]) = (size[rank - 1] * sizes[d], strides[d]);
            else
                (size[rank], stride[rank++]) = (sizes[d], strides[d]);
        }
        size = size[..rank];
        stride = stride[..rank];
        int fast = stride.LastIndexOf(1), last = rank - 1;
        if (rank == 0 || fast == last)
        {
            int run = rank == 0 ? 1 : size[last];
            RunsKernel.Run(x, start, y, size[..Math.Max(0, last)].ToArray(), stride[..Math.Max(0, last)].ToArray(), run);
            return;
        }
        if (fast < 0 || !KernelSelector.UsesVectors)
        {
            RunsKernel.Run(x, start, y, size.ToArray(), stride.ToArray(), 1);
            return;
        }
        bool dense = fast == last - 1 && stride[last] == size[fast];
        if (dense && (last == 1 || (last == 2 && stride[0] == size[1] * size[2])))
        {
            LayoutConversion.ToContiguous(x.Slice(start, y.Length), y, last == 1 ? 1 : size[0], size[fast], size[last]);
            return;
        }
        if (size[fast] * size[last] < LeastMatrix)
        {
            RunsKernel.Run(x, start, y, size.ToArray(), stride.ToArray(), 1);
            return;
        }
        int matrix = size[fast] * size[last];
        KernelThreads.Split(y.Length / matrix, Math.Max(1, Least / matrix), new Matrices(x, start, y, size.ToArray(), stride.ToArray(), fast, dense));
    }

    /// <summary>Matrices of the dimension that is the last one in x, in columns, and that which is the last one in y, in rows; one for each position along all others.</summary>
    private readonly struct Matrices : IKernelWork
    {
        private readonly ReadOnlyMemory<byte> x;
        private readonly Memory<byte> y;
        private readonly int start, columns, rows, xPitch, yPitch;
        private readonly int[] sizes, xStrides, yStrides;
        private readonly bool dense;

        public Matrices(ReadOnlyMemory<byte> x, int start, Memory<byte> y, int[] size, int[] stride, int fast, bool dense)
        {
            (this.x, this.start, this.y, this.dense) = (x, start, y, dense);
            int last = size.Length - 1;
            (columns, rows, xPitch) = (size[fast], size[last], stride[last]);
            var (others, from, to) = (new int[last - 1], new int[last - 1], new int[last - 1]);
            int n = last - 1, step = rows;
            for (int d = last - 1; d >= 0; step *= size[d--])
            {
                if (d == fast)
                    yPitch = step;
                else
                    (others[--n], from[n], to[n]) = (size[d], stride[d], step);
            }
            (sizes, xStrides, yStrides) = (others, from, to);
        }

        public void Run(int from, int to)
        {
            int length = rows * columns;
            bool narrow = !dense && Math.Min(rows, columns) < Block;
            byte[]? room = narrow ? ArrayPool<byte>.Shared.Rent(2 * length) : null;
            for (int i = from; i < to; i++)
            {
                int rest = i, source = start, target = 0;
                for (int d = sizes.Length - 1; d >= 0; d--)
                {
                    (rest, int position) = Math.DivRem(rest, sizes[d]);
                    source += position * xStrides[d];
                    target += position * yStrides[d];
                }
                if (dense)
                    Turn(x.Span.Slice(source, length), target, room);
                else if (room is not null)
                {
                    Span<byte> rowByRow = room.AsSpan(0, length);
                    RunsKernel.Gather(x.Span, source, xPitch, rowByRow, columns);
                    Turn(rowByRow, target, room);
                }
                else
                    Transpose(x.Span, source, y.Span, target);
            }
            if (room is not null)
                ArrayPool<byte>.Shared.Return(room);
        }

        /// <summary>A matrix that lies dense.</summary>
        private void Turn(ReadOnlySpan<byte> matrix, int target, byte[]? room)
        {
            if (yPitch == rows)
            {
                LayoutConversion.Transpose(matrix, y.Span.Slice(target, matrix.Length), rows, columns);
                return;
            }
            Span<byte> turned = room.AsSpan(matrix.Length, matrix.Length);
            LayoutConversion.Transpose(matrix, turned, rows, columns);
            for (int c = 0; c < columns; c++)
                turned.Slice(c * rows, rows).CopyTo(y.Span[(target + c * yPitch)..]);
        }

        /// <summary>Squares of 16 x 16; what is left over at an edge is covered by one that overlaps its neighbour.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Transpose(ReadOnlySpan<byte> source, int at, Span<byte> target, int to)
        {
            // The corners: all others lie between them.
            _ = source[at] + source[at + (rows - 1) * xPitch + columns - 1] + target[to] + target[to + (columns - 1) * yPitch + rows - 1];
            ref byte first = ref Unsafe.Add(ref MemoryMarshal.GetReference(source), at), result = ref Unsafe.Add(ref MemoryMarshal.GetReference(target), to);
            for (int r = 0; r < rows; r += Block)
            {
                int row = Math.Min(r, rows - Block);
                for (int c = 0; c < columns; c += Block)
                {
                    int column = Math.Min(c, columns - Block);
                    VectorTranspose.Square(ref Unsafe.Add(ref first, row * xPitch + column), xPitch, ref Unsafe.Add(ref result, column * yPitch + row), yPitch);
                }
            }
        }
    }
}
