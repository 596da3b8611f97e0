using System.Runtime.CompilerServices;

namespace QuantPS.Engine.Kernels;

/// <summary>Elements of 8 bits in another order, on all threads: y[i, j, ...] = x[table 0 [i] + table 1 [j] + ...]. Picking, mirroring and
/// resizing by nearest neighbours are of this form; what advances evenly is <see cref="PermuteKernel"/>'s.</summary>
internal static class RearrangeKernel
{
    private const int Least = 64 * 1024;

    /// <param name="x">Where elements are taken from.</param>
    /// <param name="y">Receives them, row-major over the tables.</param>
    /// <param name="tables">For each dimension of the result, outermost first, what every position adds to the place in x.</param>
    /// <exception cref="ArgumentException">The result has another size.</exception>
    public static void Run(ReadOnlyMemory<byte> x, Memory<byte> y, int[][] tables)
    {
        if (y.Length != tables.Aggregate(1, (count, t) => count * t.Length))
            throw new ArgumentException($"{y.Length} bytes for {string.Join(" x ", tables.Select(t => t.Length))} elements.");
        if (y.Length == 0)
            return;
        int[] steps = new int[tables.Length];
        int even = 0, start = 0;
        for (; even < tables.Length && (tables[even].Length == 1 ? 0 : Step(tables[even])) is int step; even++)
            (steps[even], start) = (step, start + tables[even][0]);
        if (even == tables.Length)
        {
            PermuteKernel.Run(x, start, y, [.. tables.Select(t => t.Length)], steps);
            return;
        }
        (start, int[][] dims) = Merged(tables);
        int slab = y.Length / dims[0].Length;
        KernelThreads.Split(dims[0].Length, Math.Max(1, Least / slab), new Work(x, y, start, dims, slab));
    }

    /// <summary>Dimensions of one position are an offset; neighbours that run through x together are one.</summary>
    private static (int Start, int[][] Dims) Merged(int[][] tables)
    {
        int start = 0;
        List<int[]> dims = [];
        foreach (int[] table in tables)
        {
            if (table.Length == 1)
            {
                start += table[0];
                continue;
            }
            // The outer one's step has to be the inner one's length, and both without a jump.
            if (dims.Count > 0 && Step(dims[^1]) is int outer && Step(table) is int inner && outer == inner * table.Length)
            {
                (int first, int count) = (dims[^1][0] + table[0], dims[^1].Length * table.Length);
                dims[^1] = [.. Enumerable.Range(0, count).Select(i => first + i * inner)];
            }
            else
                dims.Add(table);
        }
        return (start, [.. dims]);
    }

    /// <summary>What a table advances by everywhere; null where that varies.</summary>
    private static int? Step(int[] table)
    {
        int step = table[1] - table[0];
        for (int i = 2; i < table.Length; i++)
        {
            if (table[i] - table[i - 1] != step)
                return null;
        }
        return step;
    }

    private readonly struct Work(ReadOnlyMemory<byte> x, Memory<byte> y, int start, int[][] dims, int slab) : IKernelWork
    {
        public void Run(int from, int to) => Fill(x.Span, start, y.Span[(from * slab)..(to * slab)], dims, 0, from, to, dims.Length > 0 && Step(dims[^1]) == 1);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Fill(ReadOnlySpan<byte> x, int at, Span<byte> y, int[][] dims, int d, int from, int to, bool runs)
    {
        int[] table = dims[d];
        if (d == dims.Length - 1)
        {
            if (runs)
            {
                x.Slice(at + table[from], to - from).CopyTo(y);
                return;
            }
            for (int i = from; i < to; i++)
                y[i - from] = x[at + table[i]];
            return;
        }
        int slab = y.Length / (to - from);
        for (int i = from; i < to; i++)
        {
            Span<byte> part = y.Slice((i - from) * slab, slab);
            // What was taken a moment ago lies in a row by now.
            if (i > from && table[i] == table[i - 1])
                y.Slice((i - from - 1) * slab, slab).CopyTo(part);
            else
                Fill(x, at + table[i], part, dims, d + 1, 0, dims[d + 1].Length, runs);
        }
    }
}
