using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>Tiled convolution with AVX2, see <see cref="ConvTileCode256"/>.</summary>
/// <remarks>Its weights are fitted for inputs up to 127 (<see cref="ExcessInputs"/>), or for all. Which of them a chunk of bands takes is seen from its inputs; those for all are
/// made when first wanted. Signed inputs, whose bytes with the sign turned lie around 128, take these always.</remarks>
internal sealed unsafe class GeneratedConv256 : TiledConv
{
    // Of 32 KiB of first-level cache: weights that stay beside the input of a band, all of them or those of some panels.
    private const int StayingBytes = 16 * 1024;

    // Panels whose outputs are a whole line of the cache.
    private const int LinePanels = 64 / ConvTileCode256.Lanes;

    // Panels write eight bytes of a cache line each: the lines of a chunk are to be still near when the next panel comes.
    private const int ChunkBytes = 64 * 1024;

    private readonly FittedPanels? narrow;
    private readonly Lazy<FittedPanels> all;
    private readonly PackedMemory parameterMemory;
    private readonly int parameterStride, startsAt;

    private GeneratedConv256(ConvProblem problem)
        : base(problem, ConvTileCode256.Lanes, panelBlocks: 1)
    {
        all = new(() => Fit(byte.MaxValue));
        if (problem.InputFlip == 0)
            narrow = Fit(ExcessInputs.MostInput);
        else
            _ = all.Value;
        parameterStride = ConvTileCode256.ParameterBytes(FormShape);
        startsAt = ConvTileCode256.StartsAt(FormShape);
        parameterMemory = new PackedMemory((long)Panels * parameterStride);
        // Lanes behind a group's last channel get the next group's numbers; they are never stored.
        for (int panel = 0; panel < Panels; panel++)
            ConvTileCode256.WriteParameters(Form, FormShape, Start, ChannelsOf(panel, 1).First, parameterMemory.Address + (long)panel * parameterStride);

        FittedPanels Fit(int mostInput) => new(mostInput, Panels, PanelWeightBytes, PackPanel);
    }

    public override string Name => $"generated-conv-nhwc-8x8-{Isa}";

    /// <inheritdoc/>
    public override string Isa => "avx2";

    /// <inheritdoc/>
    protected override int MostPixels => ConvTileCode256.MostPixels;

    /// <summary>Beside it there are a line of outputs for each pixel, and the weights of the panels that make one.</summary>
    protected override int BandBytes => 8 * 1024;

    /// <inheritdoc/>
    protected override bool WeightsStay => WeightBytes <= StayingBytes;

    /// <summary>Where the weights are more than that, larger chunks read them less often.</summary>
    protected override long MostChunkBytes => Math.Max(ChunkBytes, WeightBytes);

    /// <inheritdoc/>
    protected override int PanelsAtOnce(int pixels) => (int)Math.Clamp((long)StayingBytes * Panels / WeightBytes, 1, LinePanels);

    private long WeightBytes => (narrow ?? all.Value).Bytes;

    /// <summary>The kernel, or null for what it is not made for: other than two dimensions, asymmetric weights, groups of fewer than four channels.</summary>
    public static TiledConv? TryCreate(ConvProblem problem) => Takes(problem) ? new GeneratedConv256(problem) : null;

    /// <inheritdoc/>
    protected override object Prepare(Shape s) => new QuadOffsets(this, s);

    /// <summary>Inputs above 127 are found and limited, if they are few.</summary>
    protected override ExcessInputs? Look(Shape s, ReadOnlySpan<Band> chunk, bool copied, ref byte* image)
    {
        if (narrow is null)
            return null;
        Band last = chunk[^1];
        byte* start = InputOf(s, chunk[0], image, 0);
        var bytes = (int)(InputOf(s, last, image, 0) - start) + (last.Tiles - 1) * last.Tile.InputStep + last.Tile.Offsets[^1] + s.RunOffsets[^1] + (Problem.Geometry.Groups - 1) * Problem.ChannelsPerGroup + RunBytes;
        ExcessInputs excess = ExcessInputs.OfThread;
        if (!excess.Find(start, bytes))
            return null;
        if (!excess.Any)
            return excess;
        byte* to = copied ? start : Scratch.Get(bytes);
        ExcessInputs.Limit(start, to, bytes);
        for (int group = 0; group < Problem.Geometry.Groups; group++)
        {
            foreach (Band band in chunk)
            {
                excess.AddBand();
                for (int tile = 0; tile < band.Tiles; tile++)
                    excess.AddTile((int)(InputOf(s, band, image, group) - start) + tile * band.Tile.InputStep, band.Tile.Offsets, s.RunOffsets, RunBytes);
            }
        }
        image += to - start;
        return excess;
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    protected override void RunBand(Shape s, ReadOnlySpan<Band> chunk, int which, byte* image, byte* output, int from, int to, SumShape? sum, ConvSumNumbers* numbers, ExcessInputs? excess)
    {
        Band band = chunk[which];
        FittedPanels panels = excess is null ? all.Value : narrow!;
        var offsets = (QuadOffsets)s.Prepared!;
        int* quads = excess is null ? offsets.All : offsets.Narrow;
        ConvTileCall256 call = default;
        for (int panel = from; panel < to; panel++)
        {
            (int first, _, int channels) = ChannelsOf(panel, 1);
            call.Input = InputOf(s, band, image, panel / PanelsPerGroup);
            call.Weights = panels.WeightsOf(panel);
            call.Offsets = quads + panels.FirstOf(panel);
            panels.WriteEnds(panel, call.Ends);
            call.Output = OutputOf(s, band, output, first);
            call.Parameters = parameterMemory.Address + (long)panel * parameterStride;
            call.Sum = numbers;
            MachineCode code = Code(s, band.Tile, 1, channels, sum);
            if (excess is null || !excess.Any)
                RunTiles(code, call, band.Tiles);
            else
                RunTiles(code, call, band, excess.FirstTileOf(panel / PanelsPerGroup * chunk.Length + which), panel, excess);
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
        narrow?.Dispose();
        if (all.IsValueCreated)
            all.Value.Dispose();
        parameterMemory.Dispose();
    }

    /// <summary>Tiles whose accumulators all start from the parameters' starts.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void RunTiles(MachineCode code, ConvTileCall256 call, int tiles)
    {
        call.Starts = (int*)(call.Parameters + startsAt);
        call.Tiles = tiles;
        code.Run(&call);
    }

    /// <summary>Tiles that are numbers <paramref name="number"/> and following of the excess inputs.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void RunTiles(MachineCode code, ConvTileCall256 call, Band band, int number, int panel, ExcessInputs excess)
    {
        int* starts = stackalloc int[ConvTileCode256.MostPixels * ConvTileCode256.Lanes];
        int outputStep = band.Tile.Offsets.Length * Outputs;
        for (int tile = 0, count; tile < band.Tiles; tile += count, call.Input += count * band.Tile.InputStep, call.Output += count * outputStep)
        {
            count = excess.TilesWithout(number + tile, band.Tiles - tile);
            if (count > 0)
            {
                RunTiles(code, call, count);
                continue;
            }
            count = 1;
            new ReadOnlySpan<int>(call.Parameters + startsAt, ConvTileCode256.MostPixels * ConvTileCode256.Lanes).CopyTo(new Span<int>(starts, ConvTileCode256.MostPixels * ConvTileCode256.Lanes));
            foreach (ExcessInputs.Term term in excess.TermsOf(number + tile))
            {
                // Lane c: the four weights of channel c, of which the one that counts goes to the upper end and comes back with its sign.
                Vector256<int> weights = Vector256.Load((int*)narrow!.WeightsOf(panel, term.Run * RunQuads + term.Place / 4)) << (24 - term.Place % 4 * 8) >> 24;
                int* start = starts + term.Pixel * ConvTileCode256.Lanes;
                (Vector256.Load(start) + weights * term.Excess).Store(start);
            }
            call.Starts = starts;
            call.Tiles = 1;
            code.Run(&call);
        }
    }

    /// <summary>Where in the window each quad is read, for images of one size; of the weights for all inputs when first wanted.</summary>
    private sealed class QuadOffsets(GeneratedConv256 conv, Shape s)
    {
        private readonly PackedMemory? narrow = conv.narrow?.Offsets(s.RunOffsets, conv.RunQuads);
        private readonly Lazy<PackedMemory> all = new(() => conv.all.Value.Offsets(s.RunOffsets, conv.RunQuads));

        public int* Narrow => (int*)narrow!.Address;

        public int* All => (int*)all.Value.Address;
    }
}
