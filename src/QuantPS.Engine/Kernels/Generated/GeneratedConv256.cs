namespace QuantPS.Engine.Kernels.Generated;

/// <summary>Tiled convolution with AVX2, see <see cref="ConvTileCode256"/>.</summary>
internal sealed unsafe class GeneratedConv256 : TiledConv
{
    // Of 32 KiB of first-level cache: weights that stay beside the input of a band.
    private const int StayingBytes = 12 * 1024;

    // Panels write eight bytes of a cache line each: the lines of a chunk are to be still near when the next panel comes.
    private const int ChunkBytes = 64 * 1024;

    private const int QuadBytes = 4 * ConvTileCode256.Lanes;

    private readonly PackedMemory weightMemory, parameterMemory;
    private readonly int parameterStride;
    private readonly PanelQuads[] panels;

    private GeneratedConv256(ConvProblem problem)
        : base(problem, ConvTileCode256.Lanes, panelBlocks: 1)
    {
        var fitted = new FittedQuads[Panels];
        KernelThreads.Split(Panels, new Fitting(this, fitted));
        panels = new PanelQuads[Panels];
        int all = 0;
        for (int panel = 0; panel < Panels; panel++)
        {
            panels[panel] = new PanelQuads(all, [.. fitted[panel].Order], [.. Enumerable.Range(0, FittedQuads.MostInGroup).Select(i => fitted[panel].QuadsInGroupsOf(FittedQuads.MostInGroup - i))]);
            all += panels[panel].Order.Length;
        }
        weightMemory = new PackedMemory((long)all * QuadBytes);
        parameterStride = ConvTileCode256.ParameterBytes(FormShape);
        parameterMemory = new PackedMemory((long)Panels * parameterStride);
        for (int panel = 0; panel < Panels; panel++)
        {
            fitted[panel].Write(new Span<sbyte>(WeightsOf(panels[panel]), panels[panel].Order.Length * QuadBytes));
            // Lanes behind a group's last channel get the next group's numbers; they are never stored.
            ConvTileCode256.WriteParameters(Form, FormShape, Start, ChannelsOf(panel, 1).First, parameterMemory.Address + (long)panel * parameterStride);
        }
    }

    public override string Name => $"generated-conv-nhwc-8x8-{Isa}";

    /// <inheritdoc/>
    public override string Isa => "avx2";

    /// <inheritdoc/>
    protected override int MostPixels => ConvTileCode256.MostPixels;

    /// <inheritdoc/>
    protected override bool WeightsStay => weightMemory.Bytes <= StayingBytes;

    /// <summary>Where the weights are more than that, larger chunks read them less often.</summary>
    protected override long MostChunkBytes => Math.Max(ChunkBytes, weightMemory.Bytes);

    /// <summary>The kernel, or null for what it is not made for: other than two dimensions, asymmetric weights, groups of fewer than four channels.</summary>
    public static TiledConv? TryCreate(ConvProblem problem) => Takes(problem) ? new GeneratedConv256(problem) : null;

    /// <summary>Where in the window each quad of each panel is read, in bytes.</summary>
    protected override PackedMemory Prepare(Shape s)
    {
        PackedMemory offsets = new(weightMemory.Bytes / QuadBytes * sizeof(int));
        var to = (int*)offsets.Address;
        foreach (int quad in panels.SelectMany(p => p.Order))
            *to++ = s.RunOffsets[quad / RunQuads] + quad % RunQuads * 4;
        return offsets;
    }

    /// <inheritdoc/>
    protected override void RunBand(Shape s, Band band, byte* image, byte* output, int from, int to, SumShape? sum, ConvSumNumbers* numbers)
    {
        ConvTileCall256 call = default;
        for (int panel = from; panel < to; panel++)
        {
            (int first, _, int channels) = ChannelsOf(panel, 1);
            ref readonly PanelQuads quads = ref panels[panel];
            call.Input = InputOf(s, band, image, panel / PanelsPerGroup);
            call.Weights = WeightsOf(quads);
            call.Offsets = (int*)s.Prepared!.Address + quads.First;
            sbyte* end = call.Weights;
            for (int i = 0; i < FittedQuads.MostInGroup; i++)
                call.Ends[i] = (long)(end += quads.BySize[i] * QuadBytes);
            call.Output = OutputOf(s, band, output, first);
            call.Parameters = parameterMemory.Address + (long)panel * parameterStride;
            call.Tiles = band.Tiles;
            call.Sum = numbers;
            Code(s, band.Tile, 1, channels, sum).Run(&call);
        }
    }

    /// <inheritdoc/>
    protected override MachineCode Generate(Shape s, Tile tile, int blocks, int last, SumShape? sum) => ConvTileCode256.For(new ConvTileSpec256
    {
        Pixels = new PixelOffsets(tile.Offsets),
        Channels = last,
        InputStep = tile.InputStep,
        OutputPixelStep = Outputs,
        Form = FormShape,
        Sum = sum,
    });

    public override void Dispose()
    {
        weightMemory.Dispose();
        parameterMemory.Dispose();
    }

    private sbyte* WeightsOf(in PanelQuads panel) => (sbyte*)weightMemory.Address + (long)panel.First * QuadBytes;

    /// <summary>The quads of a panel: the first one's place among all, which they are, and how many are in groups of three, of two, of one.</summary>
    private readonly record struct PanelQuads(int First, int[] Order, int[] BySize);

    private readonly struct Fitting(GeneratedConv256 conv, FittedQuads[] fitted) : IKernelWork
    {
        public void Run(int from, int to)
        {
            var weights = new sbyte[conv.PanelWeightBytes];
            for (int panel = from; panel < to; panel++)
            {
                Array.Clear(weights);
                conv.PackPanel(panel, weights);
                fitted[panel] = new FittedQuads(weights);
            }
        }
    }
}
