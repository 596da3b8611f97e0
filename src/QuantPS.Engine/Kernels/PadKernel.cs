using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Kernels.Vector;

namespace QuantPS.Engine.Kernels;

/// <summary>A margin of one byte around elements of 8 bits, along any dimensions, on all threads.</summary>
internal static class PadKernel
{
    private const int Least = 32 * 1024;

    /// <param name="x">Row-major.</param>
    /// <param name="y">Receives it with the margin, row-major.</param>
    /// <param name="sizes">Of x, in the order in which they lie in memory.</param>
    /// <param name="before">Elements of margin in front, per dimension.</param>
    /// <param name="after">Elements of margin behind.</param>
    /// <param name="value">Of the margin.</param>
    /// <exception cref="ArgumentException">Lengths and sizes do not match, or a margin is negative.</exception>
    public static void Run(ReadOnlyMemory<byte> x, Memory<byte> y, ReadOnlySpan<int> sizes, ReadOnlySpan<int> before, ReadOnlySpan<int> after, byte value)
    {
        int rank = sizes.Length, length = 1, padded = 1;
        for (int d = 0; d < rank; d++)
        {
            length *= sizes[d];
            padded *= before[d] + sizes[d] + after[d];
            if (before[d] < 0 || after[d] < 0)
                throw new ArgumentException($"A margin of {before[d]} and {after[d]} elements.");
        }
        if (x.Length != length || y.Length != padded)
            throw new ArgumentException($"{x.Length} bytes and {y.Length} with a margin, for {length} and {padded} elements.");
        if (padded == 0)
            return;
        // What lies behind the last dimension with a margin comes along in its rows.
        int last = rank - 1, inner = 1;
        while (last > 0 && before[last] == 0 && after[last] == 0)
            inner *= sizes[last--];
        int width = rank == 0 ? 1 : sizes[last] * inner, front = rank == 0 ? 0 : before[last] * inner, back = rank == 0 ? 0 : after[last] * inner;
        // Dimensions over the rows, as they are in the result; those without a margin are one with the next one inside.
        List<(int Size, int Before, int After)> outer = [];
        for (int d = 0; d < last; d++)
        {
            if (outer.Count > 0 && before[d] == 0 && after[d] == 0)
                outer[^1] = (outer[^1].Size * sizes[d], outer[^1].Before * sizes[d], outer[^1].After * sizes[d]);
            else
                outer.Add((sizes[d], before[d], after[d]));
        }
        int row = front + width + back;
        KernelThreads.Split(y.Length / row, Math.Max(1, Least / row), new Rows(x, y, [.. outer], width, front, back, value, KernelSelector.UsesVectors));
    }

    private readonly struct Rows(ReadOnlyMemory<byte> x, Memory<byte> y, (int Size, int Before, int After)[] outer, int width, int before, int after, byte value, bool vectors) : IKernelWork
    {
        /// <summary>Rows [from, to) of y.</summary>
        public void Run(int from, int to)
        {
            int row = before + width + after;
            while (from < to)
            {
                // A run of neighbouring rows that are either all of x, or all of the margin.
                (int source, int count) = Find(from, to - from);
                Span<byte> target = y.Span.Slice(from * row, count * row);
                if (source < 0)
                    target.Fill(value);
                else if (vectors)
                    VectorPad.Run(x.Span.Slice(source * width, count * width), target, width, before, after, value);
                else
                    ReferencePad.Run(x.Span.Slice(source * width, count * width), target, width, before, after, value);
                from += count;
            }
        }

        /// <summary>Which row of x a row of y is, -1 for one of the margin, and how many there are from it on that follow it in x, or are margin too.</summary>
        private (int Source, int Count) Find(int at, int most)
        {
            int source = 0, step = 1, count = most;
            bool inside = true;
            for (int d = outer.Length - 1; d >= 0; d--)
            {
                (int size, int front, int back) = outer[d];
                (at, int position) = Math.DivRem(at, front + size + back);
                int place = position - front;
                bool within = place >= 0 && place < size;
                // Runs end with the innermost dimension: a margin further out is filled run by run.
                if (d == outer.Length - 1)
                    count = within ? size - place : place < 0 ? -place : size + back - place;
                inside &= within;
                source += place * step;
                step *= size;
            }
            return (inside ? source : -1, Math.Min(count, most));
        }
    }
}
