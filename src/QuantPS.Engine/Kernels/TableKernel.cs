using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Kernels.Vector;

namespace QuantPS.Engine.Kernels;

/// <summary>Look-ups in a table of 256 bytes, on all threads: any function of one 8-bit variable. Any layout.</summary>
public static class TableKernel
{
    private const int Least = 64 * 1024;

    // Looking for lines takes as long as looking up a million bytes: not for small tensors.
    private const int LeastForLines = 8 * 1024;

    /// <param name="x">Bytes.</param>
    /// <param name="y">Receives table[x], as many; may be x itself.</param>
    /// <param name="table">256 entries.</param>
    /// <exception cref="ArgumentException">The lengths differ.</exception>
    public static void Run(ReadOnlyMemory<byte> x, Memory<byte> y, byte[] table)
    {
        if (x.Length != y.Length || table.Length != 256)
            throw new ArgumentException($"{x.Length} bytes into {y.Length} by a table of {table.Length}.");
        KernelThreads.Split(x.Length, Least, new Work(x, y, table, KernelSelector.UsesVectors), Lanes.Wide);
    }

    /// <summary>The same, by lines where the table has some and they are quicker.</summary>
    /// <exception cref="ArgumentException">The lengths differ.</exception>
    public static void Run(ReadOnlyMemory<byte> x, Memory<byte> y, ByteTable table)
    {
        if (x.Length != y.Length)
            throw new ArgumentException($"{x.Length} bytes into {y.Length}.");
        KernelThreads.Split(x.Length, Least, new Known(x, y, table, LinesFor(table, x.Length), KernelSelector.UsesVectors), Lanes.Wide);
    }

    /// <summary>A table's lines, where so many bytes are worth looking for them.</summary>
    internal static ByteLines? LinesFor(ByteTable? table, int length) => length >= LeastForLines ? table?.Lines : null;

    /// <summary>The same on the calling thread.</summary>
    /// <param name="x">Bytes.</param>
    /// <param name="y">Receives as many; may be x itself.</param>
    /// <param name="table">The function.</param>
    /// <param name="lines">Its lines; null for look-ups.</param>
    /// <param name="vectors">Whether vectors are allowed.</param>
    internal static void Run(ReadOnlySpan<byte> x, Span<byte> y, ByteTable table, ByteLines? lines, bool vectors)
    {
        int done = lines is null ? 0 : VectorByteLines.Run(x, y, lines);
        Run(x[done..], y[done..], table.Entries, vectors && done == 0);
    }

    /// <summary>The same on the calling thread.</summary>
    internal static void Run(ReadOnlySpan<byte> x, Span<byte> y, ReadOnlySpan<byte> table, bool vectors)
    {
        if (vectors)
            VectorTable.Run(x, y, table);
        else
            ReferenceTable.Run(x, y, table);
    }

    private readonly struct Work(ReadOnlyMemory<byte> x, Memory<byte> y, byte[] table, bool vectors) : IKernelWork
    {
        public void Run(int from, int to) => TableKernel.Run(x.Span[from..to], y.Span[from..to], table, vectors);
    }

    private readonly struct Known(ReadOnlyMemory<byte> x, Memory<byte> y, ByteTable table, ByteLines? lines, bool vectors) : IKernelWork
    {
        public void Run(int from, int to) => TableKernel.Run(x.Span[from..to], y.Span[from..to], table, lines, vectors);
    }
}
