using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>Tiled convolution with AVX2, see <see cref="ConvTileCode256"/>.</summary>
/// <remarks>Its weights are fitted for inputs up to 127 (<see cref="ExcessInputs"/>), or for all. Which of them a chunk of bands takes is seen from its inputs; those for all are
/// made when first wanted, and both are kept. How many inputs above 127 are few then depends on how much more these cost. Signed inputs, whose bytes with the sign turned lie
/// around 128, take these always. A panel has two blocks of 8 channels. Weights for all inputs, of which two blocks may hardly agree on groups, are fitted both together and one
/// by one, and taken as they cost fewer instructions.</remarks>
internal sealed unsafe class GeneratedConv256 : TiledConv
{
    // Of 32 KiB of first-level cache. Either the weights of the panels of a line stay there, beside the input of a band;
    private const int StayingBytes = 16 * 1024, InputBytes = 16 * 1024;

    // or a band's input and outputs do, and larger weights stream through what is left, as many as the second-level cache holds for all bands of a chunk.
    private const int BandBytes = 20 * 1024, StreamedBytes = 128 * 1024;

    // Of the second-level cache: input and output of a chunk.
    private const int ChunkBytes = 64 * 1024;

    // Inputs above 127 are few if at most one in so many is; in more, if there are fewer panels than these to make up for what finding them costs.
    private const int UsuallyRare = 256, UsualPanels = 4;

    // In cycles, measured on Zen 3: a term of an input above 127, and for each panel; an input with the narrow weights, for each panel; and limiting it.
    private const double Term = 120, PanelTerm = 40, PanelInput = 0.53, Limiting = 0.23;

    // What is few, which is known better once there are the weights for all inputs. At 0 these cost so little that nobody looks.
    private volatile int rare;

    private readonly Fitted? narrow;
    private readonly Lazy<Fitted> all;

    private readonly PackedMemory parameterMemory, startsMemory;
    private readonly int parameterStride, panelBlocks;

    private GeneratedConv256(ConvProblem problem)
        : base(problem, ConvTileCode256.Lanes, PanelBlocksFor(problem))
    {
        panelBlocks = PanelBlocksFor(problem);
        parameterStride = ConvTileCode256.ParameterBytes(FormShape);
        parameterMemory = new PackedMemory((long)Panels * panelBlocks * parameterStride);
        startsMemory = new PackedMemory((long)Panels * panelBlocks * BlockStarts * sizeof(int));
        for (int panel = 0; panel < Panels; panel++)
        {
            (int first, int blocks, _) = ChannelsOf(panel, 1);
            // Lanes behind a group's last channel get the next group's numbers; they are never stored.
            for (int block = 0; block < blocks; block++)
            {
                byte* parameters = ParametersOf(panel, block);
                ConvTileCode256.WriteParameters(Form, FormShape, Start, first + block * ConvTileCode256.Lanes, parameters);
                ConvTileCode256.WriteStarts(parameters, StartsOf(panel, block));
            }
        }
        all = new(FitAll);
        rare = UsuallyRare * Math.Max(1, UsualPanels / PanelsPerGroup);
        if (problem.InputFlip == 0)
            narrow = new Fitted(this, ExcessInputs.MostInput, apart: false);
        else
            _ = all.Value;
    }

    public override string Name => $"generated-conv-nhwc-8x{panelBlocks * ConvTileCode256.Lanes}-{Isa}";

    /// <inheritdoc/>
    public override string Isa => "avx2";

    /// <inheritdoc/>
    protected override int MostPixels => ConvTileCode256.MostPixels;

    /// <inheritdoc/>
    protected override int MostTilesOfBand(int tileBytes) =>
        LineStays ? InputBytes / tileBytes : BandBytes / (tileBytes + MostPixels * Math.Min(Outputs, PanelsAtOnce(MostPixels) * panelBlocks * ConvTileCode256.Lanes));

    /// <inheritdoc/>
    protected override long ProductsPerThread => 500_000;

    /// <inheritdoc/>
    protected override bool WeightsStay => WeightBytes <= StayingBytes;

    /// <inheritdoc/>
    protected override long MostChunkBytes => LineStays ? Math.Max(ChunkBytes, WeightBytes) : ChunkBytes;

    /// <inheritdoc/>
    protected override int PanelsAtOnce(int pixels) => LineStays ? LinePanels : (int)Math.Clamp((long)StreamedBytes * Panels / WeightBytes, 1, Panels);

    // int32 numbers that the pixels of a tile start from, of a block.
    private const int BlockStarts = ConvTileCode256.MostPixels * ConvTileCode256.Lanes;

    // Panels whose outputs are a whole line of the cache.
    private int LinePanels => 64 / (panelBlocks * ConvTileCode256.Lanes);

    private bool LineStays => WeightBytes / Panels * LinePanels <= StayingBytes;

    private long WeightBytes => (narrow ?? all.Value).Weights.Bytes;

    /// <summary>The kernel, or null for what it is not made for: other than two dimensions, asymmetric weights, groups of fewer than four channels.</summary>
    public static TiledConv? TryCreate(ConvProblem problem) => Takes(problem) ? new GeneratedConv256(problem) : null;

    /// <inheritdoc/>
    protected override object Prepare(Shape s) => new QuadOffsets(this, s);

    /// <summary>Inputs above 127 are found and limited, if they are few.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    protected override ExcessInputs? Look(Shape s, ReadOnlySpan<Band> chunk, bool copied, ref byte* image)
    {
        // Another thread may make the weights for all inputs meanwhile, and change it.
        int few = rare;
        if (narrow is null || few == 0)
            return null;
        Band last = chunk[^1];
        byte* start = InputOf(s, chunk[0], image, 0);
        var bytes = (int)(InputOf(s, last, image, 0) - start) + (last.Tiles - 1) * last.Tile.InputStep + last.Tile.Offsets[^1] + s.RunOffsets[^1] + (Problem.Geometry.Groups - 1) * Problem.ChannelsPerGroup + RunBytes;
        ExcessInputs excess = ExcessInputs.OfThread;
        if (!excess.Find(start, bytes, few))
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
        Fitted fitted = excess is null ? all.Value : narrow!;
        var offsets = (QuadOffsets)s.Prepared!;
        int* quads = excess is null ? offsets.All : offsets.Narrow, none = null;
        bool terms = excess is not null && excess.Any;
        MachineCode? code = null;
        int perGroup = PanelsPerGroup * fitted.UnitsOfPanel, unit = from * fitted.UnitsOfPanel, end = to * fitted.UnitsOfPanel;
        for (int group = unit / perGroup, groupEnd = (group + 1) * perGroup, madeBlocks = 0, madeLast = 0; unit < end; unit++)
        {
            if (unit == groupEnd)
                (group, groupEnd) = (group + 1, groupEnd + perGroup);
            ref readonly Unit u = ref fitted.Units[unit];
            if (u.Blocks == 0)
                continue;
            ConvTileCall256 call = u.Call;
            call.Input = InputOf(s, band, image, group);
            call.Offsets = quads + u.FirstQuad;
            call.Output = OutputOf(s, band, output, u.First);
            call.Starts = &none;
            call.Tiles = band.Tiles;
            call.Sum = numbers;
            if (code is null || madeBlocks != u.Blocks || madeLast != u.Last)
                code = Code(s, band.Tile, madeBlocks = u.Blocks, madeLast = u.Last, sum);
            if (terms && AddTerms(excess!, group * chunk.Length + which, unit))
            {
                call.Starts = excess!.TableOf(group * chunk.Length + which);
                call.StartsStep = sizeof(int*);
            }
            code.Run(&call);
        }
    }

    /// <inheritdoc/>
    protected override MachineCode Generate(Shape s, Tile tile, int blocks, int last, SumShape? sum) => ConvTileCode256.For(new ConvTileSpec256
    {
        Pixels = new PixelOffsets(tile.Offsets),
        Blocks = blocks,
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
        startsMemory.Dispose();
    }

    private static int PanelBlocksFor(ConvProblem problem) => problem.OutputChannels / problem.Geometry.Groups > ConvTileCode256.Lanes ? ConvTileCode256.MostBlocks : 1;

    private Fitted FitAll()
    {
        Fitted made = new(this, byte.MaxValue, apart: true);
        if (narrow is not null)
        {
            double saved = PanelInput * PanelsPerGroup * ((double)made.Instructions / narrow.Instructions - 1) - Limiting;
            rare = saved > 0 ? (int)Math.Min((Term + PanelTerm * PanelsPerGroup) / saved, int.MaxValue / 2) : 0;
        }
        return made;
    }

    private byte* ParametersOf(int panel, int block) => parameterMemory.Address + (long)(panel * panelBlocks + block) * parameterStride;

    private int* StartsOf(int panel, int block) => (int*)startsMemory.Address + (long)(panel * panelBlocks + block) * BlockStarts;

    /// <summary>The starts of the tiles of a band whose inputs exceed 127, for a unit of the narrow weights. False if there are none.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private bool AddTerms(ExcessInputs excess, int band, int unit)
    {
        int blocks = narrow!.Units[unit].Blocks, numbers = blocks * BlockStarts;
        int* usual = narrow.Units[unit].Call.UsualStarts;
        (int first, int end) = excess.TilesWithTerms(band);
        for (int tile = first; tile < end; tile++)
        {
            int* starts = excess.StartsOf(tile - first);
            for (int i = 0; i < numbers; i += ConvTileCode256.Lanes)
                Vector256.Load(usual + i).Store(starts + i);
            foreach (ExcessInputs.Term term in excess.TermsOf(tile))
            {
                var weights = (int*)narrow.Weights.WeightsOf(unit, term.Run * RunQuads + term.Place / 4);
                for (int b = 0; b < blocks; b++)
                {
                    // Lane c: the four weights of channel c, of which the one that counts goes to the upper end and comes back with its sign.
                    Vector256<int> one = Vector256.Load(weights + b * ConvTileCode256.Lanes) << (24 - term.Place % 4 * 8) >> 24;
                    int* start = starts + b * BlockStarts + term.Pixel * ConvTileCode256.Lanes;
                    (Vector256.Load(start) + one * term.Excess).Store(start);
                }
            }
        }
        return end > first;
    }

    /// <summary>Where in the window each quad is read, for images of one size; of the weights for all inputs when first wanted.</summary>
    private sealed class QuadOffsets(GeneratedConv256 conv, Shape s)
    {
        private readonly PackedMemory? narrow = conv.narrow?.Weights.Offsets(s.RunOffsets, conv.RunQuads);
        private readonly Lazy<PackedMemory> all = new(() => conv.all.Value.Weights.Offsets(s.RunOffsets, conv.RunQuads));

        public int* Narrow => (int*)narrow!.Address;

        public int* All => (int*)all.Value.Address;
    }

    /// <summary>What code is run for at once: a panel, or a block of one.</summary>
    /// <param name="Call">What does not depend on images.</param>
    /// <param name="FirstQuad">The place of its first quad among all.</param>
    /// <param name="First">Its first output channel.</param>
    /// <param name="Blocks">Its blocks; 0 where there is none, because the panel's are together, or a group's last panel has fewer than others.</param>
    /// <param name="Last">Channels of the last one.</param>
    private readonly record struct Unit(ConvTileCall256 Call, int FirstQuad, int First, int Blocks, int Last);

    /// <summary>The weights for inputs up to a limit.</summary>
    private sealed class Fitted : IDisposable
    {
        /// <param name="conv">Whose weights.</param>
        /// <param name="mostInput">The largest input.</param>
        /// <param name="apart">Blocks may be apart.</param>
        public Fitted(GeneratedConv256 conv, int mostInput, bool apart)
        {
            UnitsOfPanel = apart ? conv.panelBlocks : 1;
            var fitted = new FittedQuads?[conv.Panels * UnitsOfPanel];
            KernelThreads.Split(conv.Panels, (from, to) =>
            {
                var weights = new sbyte[conv.PanelWeightBytes];
                for (int panel = from; panel < to; panel++)
                {
                    Array.Clear(weights);
                    conv.PackPanel(panel, weights);
                    Fit(panel, weights);
                }
            });
            Instructions = fitted.Sum(f => (long)(f?.Instructions ?? 0));
            Weights = new FittedWeights(fitted);
            Units = new Unit[fitted.Length];
            for (int unit = 0; unit < Units.Length; unit++)
            {
                int panel = unit / UnitsOfPanel, block = unit % UnitsOfPanel, blocks = fitted[unit]?.Blocks ?? 0;
                (int first, int panelBlocks, int last) = conv.ChannelsOf(panel, 1);
                ConvTileCall256 call = new() { Weights = Weights.WeightsOf(unit), Parameters = conv.ParametersOf(panel, block), UsualStarts = conv.StartsOf(panel, block) };
                Weights.EndsOf(unit).CopyTo(new Span<long>(call.Ends, FittedQuads.MostInGroup));
                Units[unit] = new Unit(call, Weights.FirstOf(unit), first + block * ConvTileCode256.Lanes, blocks, block + blocks == panelBlocks ? last : ConvTileCode256.Lanes);
            }

            void Fit(int panel, sbyte[] weights)
            {
                int blocks = conv.ChannelsOf(panel, 1).Blocks;
                FittedQuads together = Blocks(weights, 0, blocks);
                fitted[panel * UnitsOfPanel] = together;
                if (blocks == 1 || UnitsOfPanel == 1)
                    return;
                FittedQuads first = Blocks(weights, 0, 1), second = Blocks(weights, 1, 1);
                if (first.Instructions + second.Instructions < together.Instructions)
                    (fitted[panel * UnitsOfPanel], fitted[panel * UnitsOfPanel + 1]) = (first, second);
            }

            // So many blocks of a panel, from one on.
            FittedQuads Blocks(sbyte[] weights, int block, int count)
            {
                const int blockBytes = 4 * ConvTileCode256.Lanes;
                int quads = conv.RunQuads * conv.RunStarts.Length;
                var some = new sbyte[quads * count * blockBytes];
                for (int quad = 0; quad < quads; quad++)
                    weights.AsSpan((quad * conv.panelBlocks + block) * blockBytes, count * blockBytes).CopyTo(some.AsSpan(quad * count * blockBytes));
                return new FittedQuads(some, count, mostInput);
            }
        }

        public FittedWeights Weights { get; }

        public Unit[] Units { get; }

        /// <summary>Of a tile, with all units.</summary>
        public long Instructions { get; }

        public int UnitsOfPanel { get; }

        public void Dispose() => Weights.Dispose();
    }
}
