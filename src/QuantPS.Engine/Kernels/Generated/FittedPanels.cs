namespace QuantPS.Engine.Kernels.Generated;

/// <summary>The weights of all panels of a convolution as <see cref="FittedQuads"/>, for inputs up to some limit.</summary>
internal sealed unsafe class FittedPanels : IDisposable
{
    private const int BlockBytes = 4 * ConvTileCode256.Lanes;

    private readonly PackedMemory memory;
    private readonly Panel[] panels;

    // Quads of all panels.
    private readonly int quads;

    /// <param name="mostInput">The largest input, at most 255.</param>
    /// <param name="blocks">How many blocks of 8 channels each panel has, one or two.</param>
    /// <param name="quadsOfPanel">Quads of a panel as they are.</param>
    /// <param name="pack">Writes a panel's weights as they are, zero before: 32 bytes a quad and block. For several panels at once.</param>
    public FittedPanels(int mostInput, int[] blocks, int quadsOfPanel, PackPanel pack)
    {
        var fitted = new FittedQuads[blocks.Length];
        KernelThreads.Split(blocks.Length, (from, to) =>
        {
            var weights = new sbyte[2 * BlockBytes * quadsOfPanel];
            for (int panel = from; panel < to; panel++)
            {
                Span<sbyte> own = weights.AsSpan(0, blocks[panel] * BlockBytes * quadsOfPanel);
                own.Clear();
                pack(panel, own);
                fitted[panel] = new FittedQuads(own, blocks[panel], mostInput);
            }
        });
        panels = new Panel[blocks.Length];
        long bytes = 0;
        for (int panel = 0; panel < panels.Length; panel++)
        {
            panels[panel] = new Panel(bytes, quads, blocks[panel] * BlockBytes, [.. fitted[panel].Order]);
            quads += panels[panel].Order.Length;
            bytes += panels[panel].Bytes;
        }
        memory = new PackedMemory(bytes);
        for (int panel = 0; panel < panels.Length; panel++)
        {
            fitted[panel].Write(new Span<sbyte>(WeightsOf(panel), panels[panel].Bytes));
            var end = (long)WeightsOf(panel);
            for (int i = 0; i < FittedQuads.MostInGroup; i++)
                panels[panel].Ends[i] = end += (long)fitted[panel].QuadsInGroupsOf(FittedQuads.MostInGroup - i) * panels[panel].QuadBytes;
        }
    }

    /// <summary>Writes a panel's weights.</summary>
    public delegate void PackPanel(int panel, Span<sbyte> to);

    /// <summary>Bytes of all weights.</summary>
    public long Bytes => memory.Bytes;

    /// <summary>A panel's weights.</summary>
    public sbyte* WeightsOf(int panel) => (sbyte*)memory.Address + panels[panel].Place;

    /// <summary>The place among all quads of a panel's first one.</summary>
    public int FirstOf(int panel) => panels[panel].First;

    /// <summary>Where a panel's groups of each size end, the largest first: addresses.</summary>
    public ReadOnlySpan<long> EndsOf(int panel) => panels[panel].Ends;

    /// <summary>Where in the window each quad of each panel is read, in bytes.</summary>
    /// <param name="runOffsets">Where each run of bytes that lie side by side starts.</param>
    /// <param name="runQuads">Quads of a run.</param>
    public PackedMemory Offsets(int[] runOffsets, int runQuads)
    {
        PackedMemory offsets = new((long)quads * sizeof(int));
        var to = (int*)offsets.Address;
        foreach (int quad in panels.SelectMany(p => p.Order))
            *to++ = runOffsets[quad / runQuads] + quad % runQuads * 4;
        return offsets;
    }

    /// <summary>The weights of a quad that was not taken apart: 32 bytes a block.</summary>
    public sbyte* WeightsOf(int panel, int quad) => WeightsOf(panel) + panels[panel].Places[quad] * panels[panel].QuadBytes;

    public void Dispose() => memory.Dispose();

    /// <summary>The quads of a panel: which they are, and where groups of each size end, the largest first.</summary>
    private sealed class Panel
    {
        public Panel(long place, int first, int quadBytes, int[] order)
        {
            (Place, First, QuadBytes, Order) = (place, first, quadBytes, order);
            Places = new int[order.Length];
            for (int at = 0; at < order.Length; at++)
                Places[order[at]] = at;
        }

        /// <summary>Of the weights among those of all panels, in bytes.</summary>
        public long Place { get; }

        /// <summary>The place among all quads of the first one.</summary>
        public int First { get; }

        /// <summary>Weights of a quad, in bytes.</summary>
        public int QuadBytes { get; }

        public int[] Order { get; }

        public int Bytes => Order.Length * QuadBytes;

        public long[] Ends { get; } = new long[FittedQuads.MostInGroup];

        /// <summary>Of each quad the place in <see cref="Order"/>, the last one if it is there in parts.</summary>
        public int[] Places { get; }
    }
}
