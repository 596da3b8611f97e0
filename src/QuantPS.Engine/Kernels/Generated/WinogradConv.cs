using System.Runtime.CompilerServices;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics.Requantization;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>Dense 3 x 3 convolution by <see cref="WinogradTransform"/>, on channels-last activations; and directly where that is quicker, as it is for small images.</summary>
/// <remarks>Blocks of tiles, of one image or several, are transformed into a thread's working memory; then, 16 output channels at a time, multiplied, transformed back, requantized and stored.
/// Transformed weights are eight times as large as they were: they are made for each block anew, two rows of points at a time, which takes less than to fetch them. Each of the two ways packs its weights when an image first wants it.</remarks>
internal sealed unsafe class WinogradConv : ConvKernel, IDisposable
{
    // Of the second-level cache: a block's transformed inputs and products.
    private const int BlockBytes = 400 * 1024;

    // Input channels of a chunk at most: its transformed weights, of two rows of points, stay in the first-level cache.
    // Half as many where all tiles are multiplied at once, every weight being read a single time: measured.
    private const int MostChunkChannels = 64, ChannelsReadOnce = 32;

    // Fewer channels leave too much to the transforms.
    private const int LeastChannels = 16;

    // Of the direct convolution, worth a thread: some 5 us, as in TiledConv.
    private const long ProductsPerThread = 1_000_000;

    private const int Lanes = 8, Points = WinogradTransform.Points, Edge = WinogradTransform.TileOutputs;

    private readonly ConvProblem problem;
    private readonly FormShape formShape;
    private readonly RequantizationForm form;
    private readonly int outputs, channels, padded, blocks, parameterStride;
    private readonly WinogradTarget target;
    private readonly bool always;
    private Lazy<TiledConv> direct;
    private Lazy<PackedMemory> weights;
    private readonly PackedMemory parameters;
    private Shape? shape;

    private WinogradConv(ConvProblem problem, WinogradTarget target, bool always)
    {
        this.target = target;
        this.always = always;
        int[] start = AccumulatorStart.Of(problem);
        this.problem = problem;
        form = problem.Requantizer.Form;
        formShape = FormShape.Of(form, start, problem.Depth);
        (outputs, channels) = (problem.OutputChannels, problem.InputChannels);
        padded = (channels + WinogradTransform.Channels - 1) / WinogradTransform.Channels * WinogradTransform.Channels;
        blocks = (outputs + WinogradProductsCode.Lanes - 1) / WinogradProductsCode.Lanes;
        direct = MakeDirect();
        weights = new(PackWeights);
        parameterStride = WinogradOutputCode.ParameterBytes(formShape);
        parameters = new PackedMemory(2L * blocks * parameterStride);
        for (int half = 0; half < 2 * blocks; half++)
            WinogradOutputCode.WriteParameters(form, formShape, start, half * Lanes, parameters.Address + (long)half * parameterStride);
    }

    public override string Name => $"winograd-conv-nhwc-4x4-{target.Isa}";

    /// <inheritdoc/>
    public override KernelLayout Layout => KernelLayout.ChannelsLast;

    /// <summary>The kernel, or null for what it is not made for: other kernels than 3 x 3, strides, dilation, groups, few channels, sums that the transform cannot hold.</summary>
    /// <param name="problem">The layer.</param>
    /// <param name="target">The instruction set, which the CPU has to have.</param>
    /// <param name="always">Transformed for images of any size: for tests.</param>
    public static ConvKernel? TryCreate(ConvProblem problem, WinogradTarget target, bool always = false)
    {
        ConvGeometry g = problem.Geometry;
        if (g.SpatialRank != 2 || g.Groups != 1 || g.Kernel.Any(k => k != 3) || g.Stride.Any(s => s != 1) || g.Dilation.Any(d => d != 1)
            || problem.InputChannels < LeastChannels || problem.OutputChannels < LeastChannels || !TiledConv.Takes(problem))
            return null;
        ReadOnlySpan<sbyte> w = problem.Weight.Span;
        for (int o = 0; o < problem.OutputChannels; o++)
        {
            (int above, int below) = WeightSums.Of(w.Slice(o * problem.Depth, problem.Depth));
            if (Math.Max(above, below) > WinogradTransform.MostSum / byte.MaxValue)
                return null;
        }
        return new WinogradConv(problem, target, always);
    }

    /// <inheritdoc/>
    public override bool AddsInPlace(in BinaryRule rule) => SumShape.Of(formShape, rule) is not null;

    public override void Run(ReadOnlyMemory<byte> input, int batch, int[] inputSpatial, Memory<byte> output) => Run(input, batch, inputSpatial, output, null);

    /// <inheritdoc/>
    public override void Run(ReadOnlyMemory<byte> input, int batch, int[] inputSpatial, Memory<byte> output, in ConvResidual residual) => Run(input, batch, inputSpatial, output, (ConvResidual?)residual);

    public void Dispose()
    {
        if (direct.IsValueCreated)
            direct.Value.Dispose();
        if (weights.IsValueCreated)
            weights.Value.Dispose();
        parameters.Dispose();
    }

    private void Run(ReadOnlyMemory<byte> input, int batch, int[] inputSpatial, Memory<byte> output, ConvResidual? residual)
    {
        if (batch == 0)
            return;
        Shape s = ShapeFor(batch, inputSpatial[0], inputSpatial[1]);
        if (residual is { } given && given.Other.Length != output.Length)
            throw new ArgumentException($"{given.Other.Length} bytes to add to {output.Length}.");
        const int directly = 0, transformed = 1;
        long start = 0;
        int way = s.Pays is bool known ? (known ? transformed : directly) : s.Quicker.Next(out start);
        if (way == transformed)
            Run(s, input, output, residual);
        else
            direct.Value.Run(input, batch, inputSpatial[0], inputSpatial[1], output, residual);
        // Weights of the way that is no more gone are left to the finalizers, as others may be at work on them; an image of another size packs them anew.
        switch (s.Quicker.Done(way, start))
        {
            case directly:
                direct = MakeDirect();
                break;
            case transformed:
                weights = new(PackWeights);
                break;
        }
    }

    private Lazy<TiledConv> MakeDirect() => new(() => target.Direct(problem)!);

    private void Run(Shape s, ReadOnlyMemory<byte> input, Memory<byte> output, ConvResidual? residual)
    {
        PackedMemory packed = weights.Value;
        using System.Buffers.MemoryHandle x = input.Pin(), y = output.Pin(), other = residual?.Other.Pin() ?? default;
        ConvSumNumbers numbers = default;
        SumShape? sum = residual is { Rule: var rule } ? SumShape.Of(formShape, rule) : null;
        if (sum is not null)
        {
            numbers = RequantizationCode.SumNumbers(form, formShape, residual!.Value.Rule);
            numbers.Distance = (byte*)other.Pointer - (byte*)y.Pointer;
        }
        KernelThreads.SplitAmong(s.Threads, s.TileBlocks * s.Parts, new Work(this, s, (byte*)x.Pointer, (byte*)y.Pointer, packed, sum, &numbers));
        if (residual is { } late && sum is null)
            BinaryKernel.Run(output, late.Other, output, late.Rule);
        // Finalizers free weights and parameters, and the code that reads them holds no reference to these objects.
        GC.KeepAlive(packed);
        GC.KeepAlive(this);
    }

    private Shape ShapeFor(int batch, int height, int width)
    {
        Shape? known = shape;
        int threads = KernelThreads.Worth((long)batch * height * width * outputs * problem.Depth, ProductsPerThread);
        if (known is null || known.Batch != batch || known.Height != height || known.Width != width || known.Threads != threads)
            shape = known = new Shape(this, batch, height, width, threads);
        return known;
    }

    /// <summary>[block of 16 output channels][pair of input channels][half of the block][tap][8][2], zero behind the channels' ends.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private PackedMemory PackWeights()
    {
        PackedMemory memory = new((long)blocks * WeightBytes);
        ReadOnlySpan<sbyte> w = problem.Weight.Span;
        for (int o = 0; o < outputs; o++)
        {
            sbyte* block = (sbyte*)memory.Address + (long)(o / WinogradProductsCode.Lanes) * WeightBytes + o % WinogradProductsCode.Lanes / Lanes * WinogradTransform.Taps * WinogradTransform.Channels + o % Lanes * 2;
            for (int c = 0; c < channels; c++)
                for (int tap = 0; tap < WinogradTransform.Taps; tap++)
                    block[(c / 2 * 2 * WinogradTransform.Taps + tap) * WinogradTransform.Channels + c % 2] = w[(o * channels + c) * WinogradTransform.Taps + tap];
        }
        return memory;
    }

    /// <summary>Bytes of the weights of 16 output channels.</summary>
    private int WeightBytes => checked(padded * WinogradProductsCode.Lanes * WinogradTransform.Taps);

    private readonly struct Work(WinogradConv conv, Shape s, byte* input, byte* output, PackedMemory weights, SumShape? sum, ConvSumNumbers* numbers) : IKernelWork
    {
        /// <summary>Jobs [from, to): blocks of tiles, and of each its parts of output channels.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run(int from, int to)
        {
            short* values = (short*)Scratch.Get(s.ValueBytes + s.ProductBytes + s.ChunkBytes + WinogradOutputCode.WorkBytes + s.PatchBytes);
            int* products = (int*)((byte*)values + s.ValueBytes), work = (int*)((byte*)products + s.ProductBytes);
            short* chunk = (short*)((byte*)work + WinogradOutputCode.WorkBytes);
            byte* patch = (byte*)chunk + s.ChunkBytes;
            int transformed = -1;
            for (int job = from; job < to; job++)
            {
                (int block, int part) = Math.DivRem(job, s.Parts);
                int first = (int)((long)s.AllTiles * block / s.TileBlocks), end = (int)((long)s.AllTiles * (block + 1) / s.TileBlocks);
                if (transformed != block)
                {
                    for (int tile = first; tile < end; tile++)
                        Transform(tile, values + (long)(tile - first) * conv.padded, patch);
                }
                transformed = block;
                for (int outputs = conv.blocks * part / s.Parts; outputs < conv.blocks * (part + 1) / s.Parts; outputs++)
                {
                    for (int c = 0, channels; c < conv.padded; c += channels)
                    {
                        channels = Math.Min(s.ChunkChannels, conv.padded - c);
                        MachineCode multiply = s.Multiply(end - first, channels, adds: c > 0);
                        for (int row = 0, point = 0; row < WinogradTransform.TileInputs; row += WinogradTransform.RowsAtOnce, point += WinogradProductsCode.PointsAtOnce)
                        {
                            WinogradTransform.Weights((sbyte*)weights.Address + (long)outputs * conv.WeightBytes + c * WinogradProductsCode.Lanes * WinogradTransform.Taps, channels / 2, row, chunk, s.ChunkPointStep);
                            WinogradProductsCall call = new() { Inputs = values + (long)point * s.PointStep + c, Weights = chunk, Products = products + point * WinogradProductsCode.Lanes };
                            multiply.Run(&call);
                        }
                    }
                    for (int tile = first, count; tile < end; tile += count)
                        count = Store(tile, end, 2 * outputs, products + (long)(tile - first) * Points * WinogradProductsCode.Lanes, work);
                }
            }
        }

        /// <summary>A tile's inputs. Where it reaches over the image's edge, or the channels are no multiple of 16, from a copy with padding.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Transform(int tile, short* to, byte* patch)
        {
            ConvProblem problem = conv.problem;
            (int image, int row, int column) = s.PlaceOf(tile);
            int channels = conv.channels, top = row * Edge - problem.Geometry.PadBegin[0], left = column * Edge - problem.Geometry.PadBegin[1];
            byte* pixels = input + (long)image * s.Height * s.Width * channels;
            const int size = WinogradTransform.TileInputs;
            bool inside = top >= 0 && left >= 0 && top + size <= s.Height && left + size <= s.Width && conv.padded == channels;
            if (inside)
            {
                WinogradTransform.Inputs(pixels + ((long)top * s.Width + left) * channels, (nint)s.Width * channels, channels, problem.InputFlip, channels, to, s.PointStep);
                return;
            }
            new Span<byte>(patch, size * size * conv.padded).Fill((byte)(problem.InputZeroPoint ^ problem.InputFlip));
            for (int h = Math.Max(0, -top); h < Math.Min(size, s.Height - top); h++)
                for (int w = Math.Max(0, -left); w < Math.Min(size, s.Width - left); w++)
                    new ReadOnlySpan<byte>(pixels + ((long)(top + h) * s.Width + left + w) * channels, channels).CopyTo(new Span<byte>(patch + (h * size + w) * conv.padded, channels));
            WinogradTransform.Inputs(patch, size * conv.padded, conv.padded, problem.InputFlip, conv.padded, to, s.PointStep);
        }

        /// <summary>Outputs of a tile, and of those beside it that are as large. Returns how many.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private int Store(int tile, int end, int half, int* products, int* work)
        {
            (int image, int row, int column) = s.PlaceOf(tile);
            int rows = Math.Min(Edge, s.OutHeight - row * Edge), columns = Math.Min(Edge, s.OutWidth - column * Edge);
            int count = columns < Edge ? 1 : Math.Min(end - tile, s.OutWidth / Edge - column);
            WinogradOutputCall call = new()
            {
                Work = work,
                Output = output + (((long)image * s.OutHeight + row * Edge) * s.OutWidth + column * Edge) * conv.outputs + half * Lanes,
                Sum = numbers,
            };
            for (int i = 0; i < 2 && (half + i) * Lanes < conv.outputs; i++, call.Output += Lanes)
            {
                call.Products = products + i * Lanes;
                call.Parameters = conv.parameters.Address + (long)(half + i) * conv.parameterStride;
                call.Tiles = count;
                s.End(rows, columns, Math.Min(Lanes, conv.outputs - (half + i) * Lanes), sum).Run(&call);
            }
            return count;
        }
    }

    /// <summary>How batches of one size are cut into tiles and shared out, and the code for them.</summary>
    private sealed class Shape
    {
        private readonly WinogradConv conv;
        private readonly int most;

        // By tiles, as many as there are or one less; by channels, those of a chunk or of the last one; and whether sums are there.
        private readonly MachineCode?[] multiply = new MachineCode?[2 * 2 * 2];
        private readonly MachineCode?[] ends = new MachineCode?[(Edge + 1) * (Edge + 1) * (Lanes + 1)];

        // Of the sum that was asked for last: a layer of a network has one at most.
        private SumCodes? sums;

        public Shape(WinogradConv conv, int batch, int height, int width, int threads)
        {
            this.conv = conv;
            (Batch, Height, Width, Threads) = (batch, height, width, threads);
            int[] size = conv.problem.Geometry.OutputSize([height, width]);
            (OutHeight, OutWidth) = (size[0], size[1]);
            TilesOfRow = (OutWidth + Edge - 1) / Edge;
            TilesOfImage = (OutHeight + Edge - 1) / Edge * TilesOfRow;
            AllTiles = batch * TilesOfImage;
            int perTile = Points * (conv.padded * sizeof(short) + WinogradProductsCode.Lanes * sizeof(int)), mostTiles = Math.Max(1, BlockBytes / perTile);
            TileBlocks = (AllTiles + mostTiles - 1) / mostTiles;
            Pays = conv.always ? true : conv.target.Costs.Pays(AllTiles, TileBlocks, (long)batch * OutHeight * OutWidth, conv.channels, conv.outputs);
            // Where there are fewer blocks than threads, each of these transforms all inputs, and takes a part of the output channels.
            Parts = TileBlocks >= threads ? 1 : Math.Min(threads, conv.blocks);
            most = (AllTiles + TileBlocks - 1) / TileBlocks;
            int steps = conv.padded / WinogradTransform.Channels, mostChannels = most <= conv.target.MostTiles ? ChannelsReadOnce : MostChunkChannels, chunks = (conv.padded + mostChannels - 1) / mostChannels;
            ChunkChannels = (steps + chunks - 1) / chunks * WinogradTransform.Channels;
            // A line more, so that points do not all fall into the same set of the cache.
            const int line = 64 / sizeof(short);
            PointStep = most * conv.padded + line;
            ChunkPointStep = ChunkChannels * WinogradProductsCode.Lanes + line;
            ChunkBytes = (long)WinogradProductsCode.PointsAtOnce * ChunkPointStep * sizeof(short);
            ValueBytes = (long)Points * PointStep * sizeof(short);
            ProductBytes = (long)most * Points * WinogradProductsCode.Lanes * sizeof(int);
            PatchBytes = (long)Points * conv.padded;
        }

        public int Batch { get; }

        public int Height { get; }

        public int Width { get; }

        public int Threads { get; }

        public int OutHeight { get; }

        public int OutWidth { get; }

        /// <summary>Of all images.</summary>
        public int AllTiles { get; }

        private int TilesOfRow { get; }

        private int TilesOfImage { get; }

        /// <summary>Whether this is quicker than the direct way; null where <see cref="Quicker"/> has to find out.</summary>
        public bool? Pays { get; }

        /// <summary>The direct way, 0, and this one, 1.</summary>
        public QuickerWay Quicker { get; } = new();

        /// <summary>Blocks of tiles that are transformed together.</summary>
        public int TileBlocks { get; }

        /// <summary>Parts of the output channels that are jobs of their own.</summary>
        public int Parts { get; }

        /// <summary>int16 from a point's inputs to the next one's.</summary>
        public int PointStep { get; }

        /// <summary>Input channels whose weights are transformed together, at most.</summary>
        public int ChunkChannels { get; }

        /// <summary>int16 from a point's weights to the next one's.</summary>
        public int ChunkPointStep { get; }

        /// <summary>Transformed weights of a chunk, for two rows of points and 16 output channels.</summary>
        public long ChunkBytes { get; }

        /// <summary>Transformed inputs of a block.</summary>
        public long ValueBytes { get; }

        /// <summary>Products of a block with 16 output channels.</summary>
        public long ProductBytes { get; }

        /// <summary>Inputs of one tile.</summary>
        public long PatchBytes { get; }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public (int Image, int Row, int Column) PlaceOf(int tile)
        {
            (int image, int inImage) = Math.DivRem(tile, TilesOfImage);
            (int row, int column) = Math.DivRem(inImage, TilesOfRow);
            return (image, row, column);
        }

        /// <summary>The code that multiplies so many tiles by the weights of so many channels: made when it is first asked for.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public MachineCode Multiply(int tiles, int channels, bool adds) => multiply[(most - tiles) * 4 + (channels < ChunkChannels ? 2 : 0) + (adds ? 1 : 0)] ??=
            WinogradProductsCode.For(new WinogradProductsSpec(tiles, channels, conv.padded * sizeof(short), PointStep * sizeof(short), ChunkPointStep * sizeof(short), adds, conv.target.Wide));

        /// <summary>The code that ends tiles of so many rows and columns and so many channels: likewise.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public MachineCode End(int rows, int columns, int channels, SumShape? sum)
        {
            MachineCode?[] codes = ends;
            if (sum is { } shape)
            {
                SumCodes? known = sums;
                if (known is null || known.Shape != shape)
                    sums = known = new SumCodes(shape, new MachineCode?[ends.Length]);
                codes = known.Codes;
            }
            return codes[(rows * (Edge + 1) + columns) * (Lanes + 1) + channels] ??= WinogradOutputCode.For(new WinogradOutputSpec
            {
                Rows = rows,
                Columns = columns,
                Channels = channels,
                OutputRowStep = OutWidth * conv.outputs,
                OutputPixelStep = conv.outputs,
                Form = conv.formShape,
                Sum = sum,
            });
        }

        private sealed record SumCodes(SumShape Shape, MachineCode?[] Codes);
    }
}
