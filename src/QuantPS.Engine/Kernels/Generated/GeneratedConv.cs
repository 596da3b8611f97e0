using System.Runtime.CompilerServices;
using QuantPS.Engine.Numerics.Requantization;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>Tiled convolution with AVX-512 VNNI, see <see cref="ConvTileCode"/>.</summary>
internal sealed unsafe class GeneratedConv : TiledConv
{
    private const int BlockLanes = 16;

    // Of 48 KiB of first-level cache: weights that stay beside the input of a band.
    private const int StayingBytes = 24 * 1024;

    // Weights that have left the second-level cache when a network comes round to them; on maps of few bands there is little work per weight to hide that.
    private const int StreamedBytes = 192 * 1024, MostPrefetchedBands = 28;

    // Above that, a tile of fewer pixels costs more than its hidden end brings.
    private const int MostOverlappedQuads = 32;

    private readonly PackedMemory weightMemory, parameterMemory;
    private readonly int parameterStride;

    // Tiles of few products, whose end is worth hiding.
    private readonly bool overlaps;

    private GeneratedConv(ConvProblem problem)
        : base(problem, BlockLanes, panelBlocks: 2)
    {
        overlaps = RunStarts.Length == 1 && RunQuads <= MostOverlappedQuads && ChannelsOf(0, 1).Blocks > 1;
        weightMemory = new PackedMemory((long)Panels * PanelWeightBytes);
        parameterStride = ConvTileCode.ParameterBytes(FormShape);
        parameterMemory = new PackedMemory((long)Panels * parameterStride);
        for (int panel = 0; panel < Panels; panel++)
        {
            PackPanel(panel, new Span<sbyte>(weightMemory.Address + (long)panel * PanelWeightBytes, PanelWeightBytes));
            // Lanes behind a group's last channel get the next group's numbers; they are never stored.
            ConvTileCode.WriteParameters(Form, FormShape, Start, ChannelsOf(panel, 1).First, parameterMemory.Address + (long)panel * parameterStride);
        }
    }

    public override string Name => $"generated-conv-nhwc-14x32-{Isa}";

    /// <inheritdoc/>
    public override string Isa => "avx512vnni";

    /// <inheritdoc/>
    protected override int MostPixels => ConvTileCode.MostAccumulators / 2;

    // Reckoned from the products a second that it reaches; the time itself was measured with AVX2.
    /// <inheritdoc/>
    protected override long ProductsPerThread => 2_000_000;

    /// <inheritdoc/>
    protected override bool WeightsStay => weightMemory.Bytes <= StayingBytes;

    /// <summary>The kernel, or null for what it is not made for: other than two dimensions, asymmetric weights, groups of fewer than four channels.</summary>
    public static TiledConv? TryCreate(ConvProblem problem) => Takes(problem) ? new GeneratedConv(problem) : null;

    /// <inheritdoc/>
    protected override int MostPixelsOfRow(int outWidth) => overlaps && outWidth >= 2 * ConvTileCode.MostOverlapped ? ConvTileCode.MostOverlapped : MostPixels;

    /// <inheritdoc/>
    protected override int PanelsAtOnce(int pixels) => ConvTileCode.BlocksFor(pixels) / 2;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    protected override void RunBand(Shape s, ReadOnlySpan<Band> chunk, int which, byte* image, byte* output, int from, int to, SumShape? sum, ConvSumNumbers* numbers, ExcessInputs? excess)
    {
        Band band = chunk[which];
        for (int panel = from, count; panel < to; panel += count)
        {
            int group = panel / PanelsPerGroup;
            count = Math.Min(Math.Min(PanelsAtOnce(band.Tile.Offsets.Length), to - panel), PanelsPerGroup - panel % PanelsPerGroup);
            (int first, int blocks, int last) = ChannelsOf(panel, count);
            ConvTileCall call;
            call.Input = InputOf(s, band, image, group);
            call.Weights = (sbyte*)weightMemory.Address + (long)panel * PanelWeightBytes;
            call.Output = OutputOf(s, band, output, first);
            call.Parameters = parameterMemory.Address + (long)panel * parameterStride;
            call.Tiles = band.Tiles;
            call.Sum = numbers;
            Code(s, band.Tile, blocks, last, sum).Run(&call);
        }
    }

    /// <inheritdoc/>
    protected override MachineCode Generate(Shape s, Tile tile, int blocks, int last, SumShape? sum) => ConvTileCode.For(new ConvTileSpec
    {
        Pixels = new PixelOffsets(tile.Offsets),
        ChannelBlocks = blocks,
        PairWeightStep = PanelWeightBytes,
        PrefetchStep = weightMemory.Bytes >= StreamedBytes && s.Bands.Length <= MostPrefetchedBands ? (blocks + 1) / 2 * PanelWeightBytes : 0,
        LastBlockChannels = last,
        Runs = new PixelOffsets(s.RunOffsets),
        RunQuads = RunQuads,
        InputStep = tile.InputStep,
        OutputPixelStep = Outputs,
        Form = FormShape,
        Sum = sum,
        Overlaps = overlaps && blocks == 2 && tile.Offsets.Length is >= ConvTileCode.LeastOverlapped and <= ConvTileCode.MostOverlapped,
    });

    public override void Dispose()
    {
        weightMemory.Dispose();
        parameterMemory.Dispose();
    }
}
