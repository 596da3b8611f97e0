namespace QuantPS.Engine.Kernels.Generated;

/// <summary>The weights of all panels of a convolution as <see cref="FittedQuads"/>, for inputs up to some limit.</summary>
internal sealed unsafe class FittedPanels : IDisposable
{
    private const int QuadBytes = 4 * ConvTileCode256.Lanes;

    private readonly PackedMemory memory;
    private readonly Panel[] panels;

    /// <param name="mostInput">The largest input, at most 255.</param>
    /// <param name="count">How many panels.</param>
    /// <param name="panelBytes">Bytes of a panel's weights as they are.</param>
    /// <param name="pack">Writes a panel's weights as they are, zero before: 32 bytes a quad. For several panels at once.</param>
    public FittedPanels(int mostInput, int count, int panelBytes, PackPanel pack)
    {
        var fitted = new FittedQuads[count];
        KernelThreads.Split(count, (from, to) =>
        {
            var weights = new sbyte[panelBytes];
            for (int panel = from; panel < to; panel++)
            {
                Array.Clear(weights);
                pack(panel, weights);
                fitted[panel] = new FittedQuads(weights, mostInput);
            }
        });
        panels = new Panel[count];
        for (int panel = 0; panel < count; panel++)
        {
            panels[panel] = new Panel(Quads, [.. fitted[panel].Order]);
            Quads += panels[panel].Order.Length;
        }
        memory = new PackedMemory((long)Quads * QuadBytes);
        for (int panel = 0; panel < count; panel++)
        {
            fitted[panel].Write(new Span<sbyte>(WeightsOf(panel), panels[panel].Order.Length * QuadBytes));
            var end = (long)WeightsOf(panel);
            for (int i = 0; i < FittedQuads.MostInGroup; i++)
                panels[panel].Ends[i] = end += (long)fitted[panel].QuadsInGroupsOf(FittedQuads.MostInGroup - i) * QuadBytes;
        }
    }

    /// <summary>Writes a panel's weights.</summary>
    public delegate void PackPanel(int panel, Span<sbyte> to);

    /// <summary>Quads of all panels.</summary>
    public int Quads { get; }

    /// <summary>Bytes of all weights.</summary>
    public long Bytes => memory.Bytes;

    /// <summary>A panel's weights.</summary>
    public sbyte* WeightsOf(int panel) => (sbyte*)memory.Address + (long)panels[panel].First * QuadBytes;

    /// <summary>The place among all quads of a panel's first one.</summary>
    public int FirstOf(int panel) => panels[panel].First;

    /// <summary>Where a panel's groups of each size end, the largest first: addresses.</summary>
    public ReadOnlySpan<long> EndsOf(int panel) => panels[panel].Ends;

    /// <summary>Where in the window each quad of each panel is read, in bytes.</summary>
    /// <param name="runOffsets">Where each run of bytes that lie side by side starts.</param>
    /// <param name="runQuads">Quads of a run.</param>
    public PackedMemory Offsets(int[] runOffsets, int runQuads)
    {
        PackedMemory offsets = new((long)Quads * sizeof(int));
        var to = (int*)offsets.Address;
        foreach (int quad in panels.SelectMany(p => p.Order))
            *to++ = runOffsets[quad / runQuads] + quad % runQuads * 4;
        return offsets;
    }

    /// <summary>The weights of a quad that was not taken apart: 32 bytes.</summary>
    public sbyte* WeightsOf(int panel, int quad) => WeightsOf(panel) + panels[panel].Places[quad] * QuadBytes;

    public void Dispose() => memory.Dispose();

    /// <summary>The quads of a panel: the first one's place among all, which they are, and where groups of each size end, the largest first.</summary>
    private sealed class Panel
    {
        public Panel(int first, int[] order)
        {
            (First, Order) = (first, order);
            Places = new int[order.Length];
            for (int place = 0; place < order.Length; place++)
                Places[order[place]] = place;
        }

        public int First { get; }

        public int[] Order { get; }

        public long[] Ends { get; } = new long[FittedQuads.MostInGroup];

        /// <summary>Of each quad the place in <see cref="Order"/>, the last one if it is there in parts.</summary>
        public int[] Places { get; }
    }
}
