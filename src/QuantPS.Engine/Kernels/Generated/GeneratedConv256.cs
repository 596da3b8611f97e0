using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>Tiled convolution with AVX2, see <see cref="ConvTileCode256"/>.</summary>
/// <remarks>Its weights are fitted for inputs up to 127 (<see cref="ExcessInputs"/>), or for all. Which of them a chunk of bands takes is seen from its inputs; those for all are
/// made when first wanted, and both are kept. Signed inputs, whose bytes with the sign turned lie around 128, take these always.</remarks>
internal sealed unsafe class GeneratedConv256 : TiledConv
{
    // Panels whose outputs are a whole line of the cache.
    private const int LinePanels = 64 / ConvTileCode256.Lanes;

    // Of 32 KiB of first-level cache. Either the weights of the panels of a line stay there, beside the input of a band;
    private const int StayingBytes = 16 * 1024, InputBytes = 16 * 1024;

    // or a band's input and outputs do, and larger weights stream through what is left, as many as the second-level cache holds for all bands of a chunk.
    private const int BandBytes = 20 * 1024, StreamedBytes = 128 * 1024;

    // Of the second-level cache: input and output of a chunk.
    private const int ChunkBytes = 64 * 1024;

    private readonly FittedPanels? narrow;
    private readonly Lazy<FittedPanels> all;
    private readonly PackedMemory parameterMemory;
    private readonly int parameterStride, startsAt;

    // Of each panel: its first output channel and how many it has.
    private readonly (int First, int Channels)[] places;

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
        places = [.. Enumerable.Range(0, Panels).Select(panel => ChannelsOf(panel, 1)).Select(c => (c.First, c.Last))];
        for (int panel = 0; panel < Panels; panel++)
            ConvTileCode256.WriteParameters(Form, FormShape, Start, places[panel].First, parameterMemory.Address + (long)panel * parameterStride);

        FittedPanels Fit(int mostInput) => new(mostInput, Panels, PanelWeightBytes, PackPanel);
    }

    public override string Name => $"generated-conv-nhwc-8x8-{Isa}";

    /// <inheritdoc/>
    public override string Isa => "avx2";

    /// <inheritdoc/>
    protected override int MostPixels => ConvTileCode256.MostPixels;

    /// <inheritdoc/>
    protected override int MostTilesOfBand(int tileBytes) =>
        LineStays ? InputBytes / tileBytes : BandBytes / (tileBytes + MostPixels * Math.Min(Outputs, PanelsAtOnce(MostPixels) * ConvTileCode256.Lanes));

    /// <inheritdoc/>
    protected override bool WeightsStay => WeightBytes <= StayingBytes;

    /// <inheritdoc/>
    protected override long MostChunkBytes => LineStays ? Math.Max(ChunkBytes, WeightBytes) : ChunkBytes;

    /// <inheritdoc/>
    protected override int PanelsAtOnce(int pixels) => LineStays ? LinePanels : (int)Math.Clamp((long)StreamedBytes * Panels / WeightBytes, 1, Panels);

    private bool LineStays => WeightBytes / Panels * LinePanels <= StayingBytes;

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
        excess.Finish();
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
        call.Sum = numbers;
        MachineCode? code = null;
        int* none = null;
        for (int panel = from, group = from / PanelsPerGroup, groupEnd = (group + 1) * PanelsPerGroup, made = 0; panel < to; panel++)
        {
            if (panel == groupEnd)
                (group, groupEnd) = (group + 1, groupEnd + PanelsPerGroup);
            (int first, int channels) = places[panel];
            call.Input = InputOf(s, band, image, group);
            call.Weights = panels.WeightsOf(panel);
            call.Offsets = quads + panels.FirstOf(panel);
            panels.EndsOf(panel).CopyTo(new Span<long>(call.Ends, FittedQuads.MostInGroup));
            call.Output = OutputOf(s, band, output, first);
            call.Parameters = parameterMemory.Address + (long)panel * parameterStride;
            call.UsualStarts = (int*)(call.Parameters + startsAt);
            call.Starts = &none;
            call.StartsStep = 0;
            call.Tiles = band.Tiles;
            if (code is null || made != channels)
                code = Code(s, band.Tile, 1, made = channels, sum);
            if (excess is not null && excess.Any && AddTerms(excess, group * chunk.Length + which, panel, call.UsualStarts))
            {
                call.Starts = excess.TableOf(group * chunk.Length + which);
                call.StartsStep = sizeof(int*);
            }
            code.Run(&call);
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

    /// <summary>The starts of the tiles of a band whose inputs exceed 127, for a panel. False if there are none.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private bool AddTerms(ExcessInputs excess, int band, int panel, int* usual)
    {
        const int numbers = ConvTileCode256.MostPixels * ConvTileCode256.Lanes;
        (int first, int end) = excess.TilesWithTerms(band);
        for (int tile = first; tile < end; tile++)
        {
            int* starts = excess.StartsOf(tile);
            new ReadOnlySpan<int>(usual, numbers).CopyTo(new Span<int>(starts, numbers));
            foreach (ExcessInputs.Term term in excess.TermsOf(tile))
            {
                // Lane c: the four weights of channel c, of which the one that counts goes to the upper end and comes back with its sign.
                Vector256<int> weights = Vector256.Load((int*)narrow!.WeightsOf(panel, term.Run * RunQuads + term.Place / 4)) << (24 - term.Place % 4 * 8) >> 24;
                int* start = starts + term.Pixel * ConvTileCode256.Lanes;
                (Vector256.Load(start) + weights * term.Excess).Store(start);
            }
        }
        return end > first;
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
