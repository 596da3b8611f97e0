using System.Runtime.CompilerServices;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics.Requantization;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>Convolution in tiles, by machine code made for its shape: implicit GEMM on
/// channels-last activations. What does not depend on the instruction set: how images are cut into tiles and shared out among threads.</summary>
/// <remarks>Two dimensions, symmetric weights (zero point 0). Images are copied into a padded buffer first where there is padding, a change of sign, or a run of
/// bytes that is no multiple of four; else they are read where they are.</remarks>
internal abstract unsafe class TiledConv : ConvKernel, IDisposable
{
    // Of the second-level cache: outputs that are added to what else is needed.
    private const int SumBytes = 256 * 1024;

    // Enough for parts of equal size; and tiles of small maps that have code of their own each.
    private const int BandsPerThread = 4, MostOddTiles = 8;

    // Input rows copied at a time: they should stay in the second-level cache until they are used.
    private const int ChunkBytes = 256 * 1024;

    private readonly int blockLanes, panelBlocks, blocksPerGroup;
    private readonly bool rows;

    // A run of bytes is no multiple of four, or its image wants padding or another sign.
    private readonly bool copies;

    // A kernel of one pixel without stride or padding: rows and images do not matter, all pixels are one row.
    private readonly bool pointwise;

    // Of a channel's weights, for every panel alike.
    private readonly Lazy<int[]> placesOfRuns;

    private Shape? shape;

    /// <param name="problem">One that <see cref="Takes"/> takes.</param>
    /// <param name="blockLanes">Output channels of a block: int32 lanes of a register.</param>
    /// <param name="panelBlocks">Blocks whose weights lie together.</param>
    protected TiledConv(ConvProblem problem, int blockLanes, int panelBlocks)
    {
        Problem = problem;
        this.blockLanes = blockLanes;
        this.panelBlocks = panelBlocks;
        ConvGeometry g = problem.Geometry;
        Form = problem.Requantizer.Form;
        Channels = problem.InputChannels;
        Outputs = problem.OutputChannels;
        blocksPerGroup = (Outputs / g.Groups + blockLanes - 1) / blockLanes;
        PanelsPerGroup = (blocksPerGroup + panelBlocks - 1) / panelBlocks;
        Panels = PanelsPerGroup * g.Groups;
        // Taps of a kernel row lie side by side in memory when nothing is left out between them.
        rows = g.Groups == 1 && g.Dilation[1] == 1;
        RunBytes = rows ? g.Kernel[1] * Channels : problem.ChannelsPerGroup;
        RunQuads = (RunBytes + 3) / 4;
        RunStarts = [.. from kh in Enumerable.Range(0, g.Kernel[0]) from kw in Enumerable.Range(0, rows ? 1 : g.Kernel[1]) select (kh * g.Dilation[0], kw * g.Dilation[1])];
        copies = problem.InputFlip != 0 || RunBytes % 4 != 0 || g.PadBegin.Any(p => p > 0) || g.PadEnd.Any(p => p > 0);
        pointwise = !copies && g.Kernel.All(k => k == 1) && g.Stride.All(v => v == 1);
        placesOfRuns = new(PlacesOfRuns);
        Start = AccumulatorStart.Of(problem);
        FormShape = FormShape.Of(Form, Start, problem.Depth);
    }

    /// <inheritdoc/>
    public override KernelLayout Layout => KernelLayout.ChannelsLast;

    /// <summary>The instruction set in a kernel's name.</summary>
    public abstract string Isa { get; }

    protected ConvProblem Problem { get; }

    protected RequantizationForm Form { get; }

    protected FormShape FormShape { get; }

    /// <summary>Start value of each output channel's accumulators.</summary>
    protected int[] Start { get; }

    /// <summary>Input channels.</summary>
    protected int Channels { get; }

    /// <summary>Output channels.</summary>
    protected int Outputs { get; }

    protected int PanelsPerGroup { get; }

    /// <summary>Panels of output channels, of all groups.</summary>
    protected int Panels { get; }

    /// <summary>Bytes of a window that lie side by side in memory: a kernel row, or a tap where taps do not touch.</summary>
    protected int RunBytes { get; }

    /// <summary>Groups of four bytes in a run.</summary>
    protected int RunQuads { get; }

    /// <summary>Where each run starts in the window, in rows and columns.</summary>
    protected (int H, int W)[] RunStarts { get; }

    /// <summary>Pixels of a tile at most.</summary>
    protected abstract int MostPixels { get; }

    /// <summary>Products that are worth a thread: of some 5 us, which is what it costs until another one has begun and its results have come back.</summary>
    protected abstract long ProductsPerThread { get; }

    /// <summary>The weights of all panels stay in the first-level cache: better to read the input once.</summary>
    protected abstract bool WeightsStay { get; }

    /// <summary>Whether a tiled kernel takes a problem: two dimensions, symmetric weights, groups of four channels and more, a formula that code has.</summary>
    public static bool Takes(ConvProblem problem) =>
        problem.Geometry.SpatialRank == 2 && Array.TrueForAll(problem.WeightZeroPoints, z => z == 0) && (problem.Geometry.Groups == 1 || problem.ChannelsPerGroup >= 4)
        && RequantizationCode.Takes(problem.Requantizer.Form);

    /// <summary>Tiles of a band at most, for the first-level cache.</summary>
    /// <param name="tileBytes">Input of a tile.</param>
    protected virtual int MostTilesOfBand(int tileBytes) => 16 * 1024 / tileBytes;

    /// <summary>Pixels of a tile at most where output rows are cut into tiles.</summary>
    protected virtual int MostPixelsOfRow(int outWidth) => MostPixels;

    /// <summary>Panels that go with so many pixels.</summary>
    protected virtual int PanelsAtOnce(int pixels) => 1;

    /// <summary>Bytes of input and output, at most, that all panels are made of before there are others.</summary>
    protected virtual long MostChunkBytes => long.MaxValue;

    /// <summary>What a kernel keeps for images of one size; none by default.</summary>
    protected virtual object? Prepare(Shape s) => null;

    /// <summary>Looks at the inputs of a chunk of bands before it is run. Null by default, and where there is nothing to remember about them.</summary>
    /// <param name="s">The image size.</param>
    /// <param name="chunk">The bands.</param>
    /// <param name="copied">The image is a copy of this thread, that may be written to.</param>
    /// <param name="image">Where the image is; moves where the chunk's inputs are to be read elsewhere.</param>
    protected virtual ExcessInputs? Look(Shape s, ReadOnlySpan<Band> chunk, bool copied, ref byte* image) => null;

    /// <summary>A band of a chunk, output channels of the panels [from, to). Sum and numbers are null where the code is to make no sums; excess is what <see cref="Look"/> has found.</summary>
    protected abstract void RunBand(Shape s, ReadOnlySpan<Band> chunk, int which, byte* image, byte* output, int from, int to, SumShape? sum, ConvSumNumbers* numbers, ExcessInputs? excess);

    /// <summary>The code of one tile. Sum and numbers are null where it is to make no sums.</summary>
    /// <param name="s">The image size.</param>
    /// <param name="tile">Its pixels.</param>
    /// <param name="blocks">Blocks of output channels.</param>
    /// <param name="last">Channels of the last one.</param>
    /// <param name="sum">Which sum the outputs go into, if any.</param>
    protected abstract MachineCode Generate(Shape s, Tile tile, int blocks, int last, SumShape? sum);

    public override void Run(ReadOnlyMemory<byte> input, int batch, int[] inputSpatial, Memory<byte> output) => Run(input, batch, inputSpatial[0], inputSpatial[1], output);

    /// <inheritdoc/>
    public override void Run(ReadOnlyMemory<byte> input, int batch, int[] inputSpatial, Memory<byte> output, in ConvResidual residual) =>
        Run(input, batch, inputSpatial[0], inputSpatial[1], output, residual);

    /// <inheritdoc/>
    public override bool AddsInPlace(in BinaryRule rule) => SumShape.Of(FormShape, rule) is not null;

    /// <inheritdoc cref="Run(ReadOnlyMemory{byte}, int, int[], Memory{byte})"/>
    public void Run(ReadOnlyMemory<byte> input, int batch, int height, int width, Memory<byte> output, ConvResidual? residual = null)
    {
        if (batch == 0)
            return;
        if (residual is { } given && given.Other.Length != output.Length)
            throw new ArgumentException($"{given.Other.Length} bytes to add to {output.Length}.");
        Shape s = ShapeFor(batch, height, width);
        using System.Buffers.MemoryHandle x = input.Pin(), y = output.Pin(), other = residual?.Other.Pin() ?? default;
        int units = s.Images * s.Bands.Length;
        // A unit is a band of one image. Threads get units, each with all channels: two that wrote neighbouring channels of a pixel would fight
        // for its cache line. Only where there are fewer units than threads, the panels are shared out.
        int panelsAtOnce = units >= s.Threads ? Panels : 1;
        byte* sums = (byte*)y.Pointer, terms = (byte*)other.Pointer;
        if (residual is { Rule: var rule } && SumShape.Of(FormShape, rule) is { } sum)
        {
            ConvSumNumbers numbers = RequantizationCode.SumNumbers(Form, FormShape, rule);
            numbers.Distance = terms - sums;
            KernelThreads.SplitAmong(s.Threads, units * (Panels / panelsAtOnce), new Work(this, s, (byte*)x.Pointer, sums, panelsAtOnce, null, default, false, sum, &numbers));
        }
        else
        {
            // A part has whole pixels only where it has all channels; else the sums come afterwards.
            bool adds = residual is not null && panelsAtOnce == Panels;
            KernelThreads.SplitAmong(s.Threads, units * (Panels / panelsAtOnce), new Work(this, s, (byte*)x.Pointer, sums, panelsAtOnce,
                adds ? terms : null, adds ? residual!.Value.Rule : default, adds && KernelSelector.UsesVectors));
            if (residual is { } late && !adds)
                BinaryKernel.Run(output, late.Other, output, late.Rule);
        }
        // Finalizers free weights, parameters and what is kept for the shape, and the code that reads them holds no reference to these objects.
        GC.KeepAlive(this);
        GC.KeepAlive(s);
    }

    /// <summary>other is null where no sums are made band by band, sum where the code makes none.</summary>
    private readonly struct Work(TiledConv conv, Shape shape, byte* input, byte* output, int panelsAtOnce, byte* other, BinaryRule rule, bool vectors,
        SumShape? sum = null, ConvSumNumbers* numbers = null) : IKernelWork
    {
        /// <summary>Jobs [from, to): unit by unit, and of a unit panel by panel (or all at once).</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run(int from, int to)
        {
            if (panelsAtOnce == conv.Panels)
            {
                for (int unit = from, end; unit < to; unit = end)
                {
                    end = other is null ? to : Math.Min(Math.Min(to, unit + shape.BandsToAdd), (unit / shape.Bands.Length + 1) * shape.Bands.Length);
                    conv.RunUnits(shape, input, output, unit, end, 0, conv.Panels, sum, numbers);
                    if (other is not null)
                        Add(unit, end);
                }
                return;
            }
            for (int job = from, end; job < to; job = end)
            {
                int unit = job / conv.Panels;
                end = Math.Min(to, (unit + 1) * conv.Panels);
                conv.RunUnits(shape, input, output, unit, unit + 1, job - unit * conv.Panels, end - unit * conv.Panels, sum, numbers);
            }
        }

        /// <summary>Units of one image: their bands lie one behind the other in the output.</summary>
        private void Add(int from, int to)
        {
            int bands = shape.Bands.Length, image = from / bands;
            long start = image * shape.OutputBytes + conv.StartOf(shape, from % bands), end = image * shape.OutputBytes + conv.StartOf(shape, to - image * bands);
            Span<byte> sums = new(output + start, (int)(end - start));
            BinaryKernel.Run(sums, new ReadOnlySpan<byte>(other + start, sums.Length), sums, rule, vectors);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void RunUnits(Shape s, byte* input, byte* output, int from, int to, int firstPanel, int lastPanel, SumShape? sum, ConvSumNumbers* numbers)
    {
        int bands = s.Bands.Length;
        for (int unit = from, end; unit < to; unit = end)
        {
            // Units of one image, as many as the chunk holds when they are copied.
            int n = unit / bands, first = unit % bands;
            end = unit + Math.Min(Math.Min(to - unit, bands - first), s.BandsAtOnce);
            byte* image = input + n * s.InputBytes, result = output + n * s.OutputBytes;
            ReadOnlySpan<Band> chunk = s.Bands.AsSpan(first, end - unit);
            if (copies)
                image = CopyRows(s, image, chunk);
            ExcessInputs? excess = Look(s, chunk, copies, ref image);
            if (WeightsStay)
            {
                for (int band = 0; band < chunk.Length; band++)
                    RunBand(s, chunk, band, image, result, firstPanel, lastPanel, sum, numbers, excess);
            }
            else
            {
                // Panel after panel, so that the weights of one stay in the cache.
                int atOnce = PanelsAtOnce(chunk[0].Tile.Offsets.Length);
                for (int panel = firstPanel; panel < lastPanel; panel += atOnce)
                    for (int band = 0; band < chunk.Length; band++)
                        RunBand(s, chunk, band, image, result, panel, Math.Min(panel + atOnce, lastPanel), sum, numbers, excess);
            }
        }
    }

    /// <summary>A band's first window of a group.</summary>
    protected byte* InputOf(Shape s, Band band, byte* image, int group) =>
        image + (long)band.Row * Problem.Geometry.Stride[0] * s.Pitch + (long)band.Column * Problem.Geometry.Stride[1] * Channels + group * Problem.ChannelsPerGroup;

    /// <summary>A band's first output from a channel on.</summary>
    protected byte* OutputOf(Shape s, Band band, byte* output, int channel) => output + ((long)band.Row * s.OutWidth + band.Column) * Outputs + channel;

    /// <summary>Where a band begins in an image's output; the image's end behind the last.</summary>
    private long StartOf(Shape s, int band) => band == s.Bands.Length ? s.OutputBytes : ((long)s.Bands[band].Row * s.OutWidth + s.Bands[band].Column) * Outputs;

    /// <summary>The code of a tile for so many blocks, of which the last has so many channels: made when it is first asked for.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    protected MachineCode Code(Shape s, Tile tile, int blocks, int last, SumShape? sum)
    {
        ref MachineCode? known = ref tile.CodesFor(sum)[(blocks - 1) * 17 + last];
        return known ??= Generate(s, tile, blocks, last, sum);
    }

    /// <summary>First output channel, number of blocks and channels of the last block of so many panels of a group.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    protected (int First, int Blocks, int Last) ChannelsOf(int panel, int count)
    {
        int outputs = Outputs / Problem.Geometry.Groups, group = panel / PanelsPerGroup, block = panel % PanelsPerGroup * panelBlocks, blocks = Math.Min(panelBlocks * count, blocksPerGroup - block);
        int inGroup = Math.Min(outputs - block * blockLanes, blocks * blockLanes);
        return (group * outputs + block * blockLanes, blocks, inGroup - (blocks - 1) * blockLanes);
    }

    /// <summary>The weights of a panel: [run][quad][block][channel][4], zero behind the ends.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    protected void PackPanel(int panel, Span<sbyte> to)
    {
        int taps = Problem.Geometry.Kernel[0] * Problem.Geometry.Kernel[1], depth = Problem.ChannelsPerGroup * taps;
        int quadBytes = panelBlocks * blockLanes * 4, runBytes = RunQuads * quadBytes;
        (int first, int blocks, int last) = ChannelsOf(panel, 1);
        int[] places = placesOfRuns.Value;
        for (int c = 0; c < (blocks - 1) * blockLanes + last; c++)
        {
            ReadOnlySpan<sbyte> from = Problem.Weight.Span.Slice((first + c) * depth, depth);
            for (int run = 0, at = 0; run < RunStarts.Length; run++)
            {
                Span<sbyte> column = to.Slice(run * runBytes + c * 4, runBytes - c * 4);
                for (int quad = 0; quad < RunBytes / 4; quad++, column = column[Math.Min(quadBytes, column.Length)..])
                    for (int k = 0; k < 4; k++)
                        column[k] = from[places[at++]];
                for (int k = 0; k < RunBytes % 4; k++)
                    column[k] = from[places[at++]];
            }
        }
    }

    /// <summary>Where in an output channel's weights, [input channel][row][column], those of each run are, in the order of memory.</summary>
    private int[] PlacesOfRuns()
    {
        int kh = Problem.Geometry.Kernel[0], kw = Problem.Geometry.Kernel[1], perGroup = Problem.ChannelsPerGroup, at = 0;
        var places = new int[RunStarts.Length * RunBytes];
        for (int run = 0; run < RunStarts.Length; run++)
        {
            (int tapH, int firstW) = rows ? (run, 0) : (run / kw, run % kw);
            for (int tapW = firstW; tapW < (rows ? kw : firstW + 1); tapW++)
                for (int channel = 0; channel < perGroup; channel++)
                    places[at++] = (channel * kh + tapH) * kw + tapW;
        }
        return places;
    }

    /// <summary>Bytes of <see cref="PackPanel"/>.</summary>
    protected int PanelWeightBytes => checked(panelBlocks * 4 * blockLanes * RunQuads * RunStarts.Length);

    /// <summary>The rows that bands see, with padding, in this thread's working memory. Returns where the padded image's first row would be.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private byte* CopyRows(Shape s, byte* image, ReadOnlySpan<Band> bands)
    {
        ConvGeometry g = Problem.Geometry;
        int first = bands[0].Row * g.Stride[0], end = Math.Min(s.Height, (bands[^1].LastRow * g.Stride[0]) + g.Dilation[0] * (g.Kernel[0] - 1) + 1);
        int rowBytes = s.InWidth * Channels, left = g.PadBegin[1] * Channels;
        byte* copy = Scratch.Get((long)(end - first) * s.Pitch + 64);
        byte zero = (byte)Problem.InputZeroPoint, flip = Problem.InputFlip;
        for (int row = first; row < end; row++)
        {
            int h = row - g.PadBegin[0];
            Span<byte> target = new(copy + (long)(row - first) * s.Pitch, s.Pitch);
            if ((uint)h >= (uint)s.InHeight)
            {
                target.Fill(zero);
                continue;
            }
            ReadOnlySpan<byte> source = new(image + (long)h * rowBytes, rowBytes);
            target[..left].Fill(zero);
            SignFlip.Copy(source, flip, target.Slice(left, rowBytes));
            target[(left + rowBytes)..].Fill(zero);
        }
        return copy - (long)first * s.Pitch;
    }

    private Shape ShapeFor(int batch, int height, int width)
    {
        Shape? known = shape;
        int[] stride = Problem.Geometry.Stride;
        int threads = KernelThreads.Worth((long)batch * height * width / (stride[0] * stride[1]) * Outputs * Problem.Depth, ProductsPerThread);
        if (known is null || known.Batch != batch || known.InHeight != height || known.InWidth != width || known.Threads != threads)
            shape = known = new Shape(this, batch, height, width, threads);
        return known;
    }

    public abstract void Dispose();

    /// <summary>A tile's pixels, and the code for it per kind of channel block.</summary>
    protected sealed class Tile(int[] offsets, int inputStep)
    {
        public int[] Offsets { get; } = offsets;

        public int InputStep { get; } = inputStep;

        private const int MostBlocks = 8;

        private readonly MachineCode?[] codes = new MachineCode?[8 * 17];

        // Of the sum that was asked for last: a layer of a network has one at most.
        private SumCodes? sums;

        public MachineCode?[] CodesFor(SumShape? sum)
        {
            if (sum is not { } shape)
                return codes;
            SumCodes? known = sums;
            if (known is null || known.Shape != shape)
                sums = known = new SumCodes(shape, new MachineCode?[codes.Length]);
            return known.Codes;
        }

        private sealed record SumCodes(SumShape Shape, MachineCode?[] Codes);
    }

    /// <summary>Equal tiles one behind the other, from an output row and column on.</summary>
    protected readonly record struct Band(int Row, int LastRow, int Column, Tile Tile, int Tiles);

    /// <summary>How batches of one size are cut into tiles.</summary>
    protected sealed class Shape
    {
        public Shape(TiledConv conv, int batch, int height, int width, int threads)
        {
            ConvGeometry g = conv.Problem.Geometry;
            (Batch, InHeight, InWidth, Images, Threads) = (batch, height, width, batch, threads);
            int[] outSize = g.OutputSize([height, width]);
            int outHeight = outSize[0];
            OutWidth = outSize[1];
            if (conv.pointwise)
                (Images, height, width, outHeight, OutWidth) = (1, 1, batch * height * width, 1, batch * height * width);
            Height = height + g.PadBegin[0] + g.PadEnd[0];
            Pitch = (width + g.PadBegin[1] + g.PadEnd[1]) * conv.Channels;
            InputBytes = (long)height * width * conv.Channels;
            OutputBytes = (long)outHeight * OutWidth * conv.Outputs;
            int step = g.Stride[1] * conv.Channels, rowStep = g.Stride[0] * Pitch;
            int most = conv.MostPixels;
            var bands = new List<Band>();
            if (OutWidth >= most)
            {
                int mostPixels = conv.MostPixelsOfRow(OutWidth);
                // A row in tiles as equal as can be: 20 pixels are 10 and 10, not 14 and 6.
                int tiles = (OutWidth + mostPixels - 1) / mostPixels, least = OutWidth / tiles, more = OutWidth % tiles;
                // Bands of a few tiles, as equal as can be, and several for each thread, so that threads get equal parts.
                int atOnce = Math.Max(1, conv.MostTilesOfBand(mostPixels * step)), all = outHeight * Images * tiles;
                int perRow = Math.Min(tiles, Math.Max((tiles + atOnce - 1) / atOnce, (BandsPerThread * threads * tiles + all - 1) / all));
                Tile big = Row(least + 1), small = Row(least);
                for (int y = 0; y < outHeight; y++)
                {
                    for (int i = 0; i < perRow; i++)
                    {
                        int first = i * tiles / perRow, end = (i + 1) * tiles / perRow, bigEnd = Math.Clamp(more, first, end);
                        if (bigEnd > first)
                            bands.Add(new Band(y, y, first * (least + 1), big, bigEnd - first));
                        if (end > bigEnd)
                            bands.Add(new Band(y, y, more + bigEnd * least, small, end - bigEnd));
                    }
                }
            }
            else if ((outHeight * OutWidth + most - 1) / most is int few and <= MostOddTiles)
            {
                // A small map: tiles of equal size, wherever its rows end, each with offsets of its own.
                int area = outHeight * OutWidth;
                for (int t = 0; t < few; t++)
                {
                    int first = t * area / few, end = (t + 1) * area / few, origin = Offset(first);
                    bands.Add(new Band(first / OutWidth, (end - 1) / OutWidth, first % OutWidth, new Tile([.. Enumerable.Range(first, end - first).Select(p => Offset(p) - origin)], 0), 1));
                }
            }
            else
            {
                // Several whole rows a tile.
                int rows = Math.Max(1, most / OutWidth), tiles = (outHeight + rows - 1) / rows, least = outHeight / tiles, more = outHeight % tiles;
                Tile big = Rows(least + 1), small = Rows(least);
                for (int t = 0, row = 0; t < tiles; t++)
                {
                    Tile tile = t < more ? big : small;
                    int count = t < more ? least + 1 : least;
                    bands.Add(new Band(row, row + count - 1, 0, tile, 1));
                    row += count;
                }
            }
            Bands = [.. bands];
            BandsToAdd = Math.Max(1, (int)(Bands.Length * (long)SumBytes / Math.Max(1, OutputBytes)));
            BandsAtOnce = conv.copies ? Math.Max(1, (int)(Bands.Length * (long)ChunkBytes / ((long)Height * Pitch))) : Bands.Length;
            BandsAtOnce = (int)Math.Clamp((double)Bands.Length * conv.MostChunkBytes / (InputBytes + OutputBytes), 1, BandsAtOnce);
            RunOffsets = [.. conv.RunStarts.Select(r => r.H * Pitch + r.W * conv.Channels)];
            Prepared = conv.Prepare(this);

            int Offset(int pixel) => pixel / OutWidth * rowStep + pixel % OutWidth * step;

            Tile Row(int pixels) => new([.. Enumerable.Range(0, pixels).Select(p => p * step)], pixels * step);

            Tile Rows(int rows) => new([.. from r in Enumerable.Range(0, rows) from p in Enumerable.Range(0, OutWidth) select r * rowStep + p * step], rows * rowStep);
        }

        public int Batch { get; }

        /// <summary>Threads that the bands are to keep busy.</summary>
        public int Threads { get; }

        public int InHeight { get; }

        public int InWidth { get; }

        /// <summary>The batch; or one, where all pixels of it are one row.</summary>
        public int Images { get; }

        /// <summary>Bytes of an image as it is given.</summary>
        public long InputBytes { get; }

        /// <summary>Bytes of an image's output.</summary>
        public long OutputBytes { get; }

        /// <summary>Pixels of an output row.</summary>
        public int OutWidth { get; }

        /// <summary>Rows with padding.</summary>
        public int Height { get; }

        /// <summary>Bytes of a row with padding.</summary>
        public int Pitch { get; }

        public Band[] Bands { get; }

        /// <summary>Bands after which their outputs are added to a residual.</summary>
        public int BandsToAdd { get; }

        /// <summary>Bands whose rows are copied in one go, and that all panels are made of before the next ones.</summary>
        public int BandsAtOnce { get; }

        /// <summary>Where each run starts, in bytes from the window's start.</summary>
        public int[] RunOffsets { get; }

        /// <summary>What the kernel keeps for images of this size.</summary>
        public object? Prepared { get; }
    }
}
