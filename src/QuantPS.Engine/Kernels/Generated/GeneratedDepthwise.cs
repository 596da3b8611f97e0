using System.Numerics;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics.Requantization;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>Depthwise convolution by machine code made for its shape: channels-last activations, AVX-512 VNNI, see <see cref="DepthwiseTileCode"/>.</summary>
/// <remarks>Two dimensions, symmetric weights, at most 32 kernel columns. Images are read where they are, nothing is copied: rows outside the image are
/// one row of zero points, and the outputs whose window reaches over the left or right edge have code of their own, per set of columns outside.</remarks>
internal sealed unsafe class GeneratedDepthwise : ConvKernel, IDisposable
{
    private const int TileBytes = 64;

    private readonly ConvProblem problem;
    private readonly RequantizationForm form;
    private readonly FormShape formShape;
    private readonly ConvGeometry geometry;
    private readonly int channels, period;
    private readonly PackedMemory memory;
    private readonly byte* weights;
    private readonly byte* constants;

    // With stride 1 neighbouring outputs read neighbouring pixels, and tiles lie side by side across them; else a tile lies within a pixel.
    private readonly bool acrossPixels;
    private readonly int sharedPixels;
    private Shape? shape;

    private GeneratedDepthwise(ConvProblem problem)
    {
        this.problem = problem;
        geometry = problem.Geometry;
        form = problem.Requantizer.Form;
        int[] start = AccumulatorStart.Of(problem);
        formShape = FormShape.Of(form, start, problem.Depth);
        channels = problem.OutputChannels;
        acrossPixels = geometry.Stride[1] == 1;
        sharedPixels = acrossPixels ? 1 : (channels % TileBytes) switch { 32 => 2, 16 => 4, _ => 1 };
        period = acrossPixels ? channels / (int)BigInteger.GreatestCommonDivisor(channels, TileBytes) : (channels + TileBytes - 1) / TileBytes;
        int block = DepthwiseTileCode.BlockBytes(formShape, geometry.Kernel[0], geometry.Kernel[1]);
        memory = new PackedMemory((long)period * block + RequantizationCode.ConstantBytes);
        weights = memory.Address;
        for (int v = 0; v < period; v++)
            Pack(start, v, weights + (long)v * block);
        constants = weights + (long)period * block;
        RequantizationCode.WriteConstants(form, constants);
    }

    public override string Name => "generated-depthwise-nhwc-64-avx512vnni";

    /// <inheritdoc/>
    public override KernelLayout Layout => KernelLayout.ChannelsLast;

    /// <summary>The kernel, or null for what it is not made for: other than two dimensions, one input and one output channel a group, asymmetric weights.</summary>
    public static ConvKernel? TryCreate(ConvProblem problem) =>
        problem.Geometry.SpatialRank == 2 && problem.Geometry.Kernel[1] <= 32 && problem.ChannelsPerGroup == 1 && problem.OutputChannels == problem.Geometry.Groups
        && Array.TrueForAll(problem.WeightZeroPoints, z => z == 0) && RequantizationCode.Takes(problem.Requantizer.Form)
            ? new GeneratedDepthwise(problem)
            : null;

    public override void Run(ReadOnlyMemory<byte> input, int batch, int[] inputSpatial, Memory<byte> output)
    {
        Shape s = ShapeFor(inputSpatial[0], inputSpatial[1]);
        using System.Buffers.MemoryHandle x = input.Pin(), y = output.Pin();
        KernelThreads.Split(batch * s.Bands.Length, new Work(this, s, (byte*)x.Pointer, (byte*)y.Pointer));
        // Finalizers free the weights and the row outside, and the code that reads them holds no reference to these objects.
        GC.KeepAlive(this);
        GC.KeepAlive(s);
    }

    private readonly struct Work(GeneratedDepthwise conv, Shape shape, byte* input, byte* output) : IKernelWork
    {
        /// <summary>Bands [from, to), image after image.</summary>
        public void Run(int from, int to)
        {
            for (int job = from; job < to; job++)
            {
                int n = job / shape.Bands.Length;
                conv.RunBand(shape, shape.Bands[job % shape.Bands.Length], input + (long)n * shape.InHeight * shape.InWidth * conv.channels,
                    output + (long)n * shape.OutHeight * shape.OutWidth * conv.channels);
            }
        }
    }

    private void RunBand(Shape s, Band band, byte* image, byte* output)
    {
        int[] inputRows = s.InputRows[band.Rows]!;
        byte** rows = stackalloc byte*[inputRows.Length];
        int firstRow = band.Row * geometry.Stride[0] - geometry.PadBegin[0];
        output += (long)band.Row * s.OutWidth * channels;
        for (int i = 0; i < inputRows.Length; i++)
        {
            int row = firstRow + inputRows[i];
            rows[i] = (uint)row < (uint)s.InHeight ? image + (long)row * s.InWidth * channels : s.OutsideRow;
        }
        foreach (Stretch stretch in s.Stretches)
        {
            long offset = (long)(stretch.Begin * geometry.Stride[1] - geometry.PadBegin[1]) * channels;
            RunPixels(s, stretch.Codes[band.Rows] ??= s.Code(this, band.Rows, stretch.Outside), rows, offset, output + (long)stretch.Begin * channels, stretch.Pixels);
        }
    }

    private void RunPixels(Shape s, DepthwiseTileCode code, byte** table, long offset, byte* output, int pixels)
    {
        int bytes = acrossPixels ? pixels * channels : channels, whole = bytes / TileBytes, rest = bytes % TileBytes;
        DepthwiseTileCall call = new()
        {
            Rows = table,
            Offset = offset,
            Weights = weights,
            Output = output,
            Constants = constants,
            Runs = 1,
            PartialMask = (1UL << rest) - 1,
            Padding = s.Padding * 0x01010101u,
        };
        if (acrossPixels)
        {
            call.Tiles = whole;
            call.PartialTiles = rest > 0 ? 1 : 0;
            code.Run(&call);
            return;
        }
        // Block after block of 64 channels along the row: the weights of a block stay in the first-level cache. The code moves the pointers on.
        if (whole > 0)
        {
            call.Tiles = pixels;
            call.Runs = whole;
            code.Run(&call);
        }
        if (rest > 0)
        {
            call.Tiles = 0;
            call.SharedTiles = sharedPixels > 1 ? pixels / sharedPixels : 0;
            call.PartialTiles = sharedPixels > 1 ? pixels % sharedPixels : pixels;
            call.Runs = 1;
            code.Run(&call);
        }
    }

    /// <summary>Weights and per-channel numbers of the v-th tile of the period, in the order of the code's lanes.</summary>
    private void Pack(int[] start, int v, byte* to)
    {
        int rows = geometry.Kernel[0], columns = geometry.Kernel[1], quads = DepthwiseTileCode.Quads(columns);
        // Lane l = 16 j + 4 L + i (accumulator j, 128-bit lane L) is byte 16 L + 4 j + i of the tile.
        int[] lanes = [.. Enumerable.Range(0, TileBytes).Select(l => l % 16 / 4 * 16 + l / 16 * 4 + l % 4)];
        if (acrossPixels)
            lanes = Array.ConvertAll(lanes, b => (v * TileBytes + b) % channels);
        else
            lanes = Array.ConvertAll(lanes, b => v * TileBytes + (v == channels / TileBytes ? b % (TileBytes / sharedPixels) : b));
        ReadOnlySpan<sbyte> w = problem.Weight.Span;
        for (int kh = 0; kh < rows; kh++)
        {
            for (int q = 0; q < quads; q++)
            {
                for (int l = 0; l < TileBytes; l++)
                {
                    for (int t = 0; t < 4; t++)
                    {
                        int kw = q * 4 + t;
                        to[((kh * quads + q) * TileBytes + l) * 4 + t] = kw < columns && lanes[l] < channels ? (byte)w[(lanes[l] * rows + kh) * columns + kw] : (byte)0;
                    }
                }
            }
        }
        RequantizationCode.WriteChannels(form, start, lanes, to + rows * quads * 256);
    }

    private Shape ShapeFor(int height, int width)
    {
        Shape? known = shape;
        int threads = KernelThreads.Count;
        if (known is null || known.InHeight != height || known.InWidth != width || known.Threads != threads)
            shape = known = new Shape(this, height, width, threads);
        return known;
    }

    public void Dispose() => memory.Dispose();

    /// <summary>Output rows that are made together.</summary>
    private readonly record struct Band(int Row, int Rows);

    /// <summary>Output columns whose windows have the same kernel columns outside the image; and the code for bands of so many rows.</summary>
    private sealed record Stretch(int Begin, int Pixels, uint Outside, DepthwiseTileCode?[] Codes);

    /// <summary>How images of one size are cut into bands.</summary>
    private sealed class Shape
    {
        private readonly PackedMemory outsideRow;

        public Shape(GeneratedDepthwise conv, int height, int width, int threads)
        {
            ConvGeometry g = conv.geometry;
            int[] outSize = g.OutputSize([height, width]);
            (InHeight, InWidth, OutHeight, OutWidth, Threads) = (height, width, outSize[0], outSize[1], threads);
            Padding = (byte)(conv.problem.InputZeroPoint ^ conv.problem.InputFlip);
            outsideRow = new PackedMemory((long)width * conv.channels);
            new Span<byte>(outsideRow.Address, width * conv.channels).Fill(Padding);
            int most = DepthwiseTileCode.MostRows(g.Kernel[0], g.Dilation[0], g.Stride[0]), bands = Math.Max((OutHeight + most - 1) / most, Math.Min(OutHeight, threads)), least = OutHeight / bands, more = OutHeight % bands;
            Bands = [.. Enumerable.Range(0, bands).Select(i => i < more ? new Band(i * (least + 1), least + 1) : new Band(more * (least + 1) + (i - more) * least, least))];
            Stretches = Cut(g, width, OutWidth, most);
            InputRows = new int[]?[most + 1];
            foreach (int rows in Bands.Select(b => b.Rows).Distinct())
                InputRows[rows] = [.. Spec(conv, rows, 0).InputRows().Select(r => r.InputRow)];
        }

        /// <summary>Threads that the bands are to keep busy, where there are rows enough.</summary>
        public int Threads { get; }

        public int InHeight { get; }

        public int InWidth { get; }

        public int OutHeight { get; }

        public int OutWidth { get; }

        /// <summary>From left to right.</summary>
        public Stretch[] Stretches { get; }

        /// <summary>The byte that stands for a zero outside the image.</summary>
        public byte Padding { get; }

        /// <summary>A row of them.</summary>
        public byte* OutsideRow => outsideRow.Address;

        public Band[] Bands { get; }

        /// <summary>For bands of so many rows: the input rows that they see, from their first one.</summary>
        public int[]?[] InputRows { get; }

        public DepthwiseTileCode Code(GeneratedDepthwise conv, int rows, uint outside) => DepthwiseTileCode.For(Spec(conv, rows, outside));

        private static Stretch[] Cut(ConvGeometry g, int inWidth, int outWidth, int most)
        {
            uint[] outside = [.. Enumerable.Range(0, outWidth).Select(Outside)];
            List<Stretch> stretches = [];
            for (int w = 0, end; w < outWidth; w = end)
            {
                for (end = w + 1; end < outWidth && outside[end] == outside[w];)
                    end++;
                stretches.Add(new Stretch(w, end - w, outside[w], new DepthwiseTileCode?[most + 1]));
            }
            return [.. stretches];

            uint Outside(int w)
            {
                uint bits = 0;
                for (int kw = 0; kw < g.Kernel[1]; kw++)
                    if ((uint)(w * g.Stride[1] - g.PadBegin[1] + kw * g.Dilation[1]) >= (uint)inWidth)
                        bits |= 1u << kw;
                return bits;
            }
        }

        private DepthwiseTileSpec Spec(GeneratedDepthwise conv, int rows, uint outside) => new()
        {
            Rows = rows,
            RowStride = conv.geometry.Stride[0],
            KernelRows = conv.geometry.Kernel[0],
            RowDilation = conv.geometry.Dilation[0],
            Columns = new PixelOffsets([.. Enumerable.Range(0, conv.geometry.Kernel[1]).Select(kw => kw * conv.geometry.Dilation[1] * conv.channels)]),
            OutsideColumns = outside,
            SharedPixels = conv.sharedPixels,
            OutputRowStep = OutWidth * conv.channels,
            InputStep = conv.acrossPixels ? TileBytes : conv.geometry.Stride[1] * conv.channels,
            OutputStep = conv.acrossPixels ? TileBytes : conv.channels,
            Period = conv.acrossPixels ? conv.period : 1,
            Flip = conv.problem.InputFlip != 0,
            Form = conv.formShape,
        };
    }
}
