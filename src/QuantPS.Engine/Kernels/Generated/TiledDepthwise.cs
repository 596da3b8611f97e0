using System.Runtime.CompilerServices;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics.Requantization;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>Depthwise convolution in tiles of a vector's channels times a few output rows, by machine code made for its shape. What does not depend on
/// the instruction set: how images are cut into bands of rows and stretches of columns, and shared out among threads.</summary>
/// <remarks>Two dimensions, symmetric weights, at most 32 kernel columns. Images are read where they are, nothing is copied: rows outside the image are
/// one row of zero points, and the outputs whose window reaches over the left or right edge have code of their own, per set of columns outside.</remarks>
internal abstract unsafe class TiledDepthwise : ConvKernel
{
    private Shape? shape;

    /// <param name="problem">One that <see cref="Takes"/> takes.</param>
    protected TiledDepthwise(ConvProblem problem)
    {
        Problem = problem;
        Geometry = problem.Geometry;
        Form = problem.Requantizer.Form;
        Start = AccumulatorStart.Of(problem);
        FormShape = FormShape.Of(Form, Start, problem.Depth);
        Channels = problem.OutputChannels;
    }

    /// <inheritdoc/>
    public override KernelLayout Layout => KernelLayout.ChannelsLast;

    protected ConvProblem Problem { get; }

    protected ConvGeometry Geometry { get; }

    protected RequantizationForm Form { get; }

    protected FormShape FormShape { get; }

    /// <summary>Start value of each channel's accumulators.</summary>
    protected int[] Start { get; }

    protected int Channels { get; }

    /// <summary>Output rows of a band at most.</summary>
    protected abstract int MostRows { get; }

    /// <inheritdoc cref="TiledConv.ProductsPerThread"/>
    protected abstract long ProductsPerThread { get; }

    /// <summary>Whether a kernel in tiles takes a problem: two dimensions, one input and one output channel a group, symmetric weights, a formula that code has.</summary>
    protected static bool Takes(ConvProblem problem) =>
        problem.Geometry.SpatialRank == 2 && problem.Geometry.Kernel[1] <= 32 && problem.ChannelsPerGroup == 1 && problem.OutputChannels == problem.Geometry.Groups
        && Array.TrueForAll(problem.WeightZeroPoints, z => z == 0) && RequantizationCode.Takes(problem.Requantizer.Form);

    /// <summary>The code for a band's stretch.</summary>
    protected abstract MachineCode Generate(DepthwiseBand band);

    /// <summary>Neighbouring pixels of a band's output rows.</summary>
    /// <param name="code">What <see cref="Generate"/> made for the band and the stretch that they are of.</param>
    /// <param name="rows">A pointer for each of <see cref="DepthwiseBand.InputRows"/>.</param>
    /// <param name="offset">Where in the rows the first pixel's window starts, in bytes.</param>
    /// <param name="output">First output byte.</param>
    /// <param name="pixels">How many.</param>
    /// <param name="padding">The byte that stands for a zero outside the image.</param>
    protected abstract void RunPixels(MachineCode code, byte** rows, long offset, byte* output, int pixels, byte padding);

    public override void Run(ReadOnlyMemory<byte> input, int batch, int[] inputSpatial, Memory<byte> output)
    {
        Shape s = ShapeFor(batch, inputSpatial[0], inputSpatial[1]);
        using System.Buffers.MemoryHandle x = input.Pin(), y = output.Pin();
        KernelThreads.SplitAmong(s.Threads, batch * s.Bands.Length, new Work(this, s, (byte*)x.Pointer, (byte*)y.Pointer));
        // Finalizers free the weights and the row outside, and the code that reads them holds no reference to these objects.
        GC.KeepAlive(this);
        GC.KeepAlive(s);
    }

    private readonly struct Work(TiledDepthwise conv, Shape shape, byte* input, byte* output) : IKernelWork
    {
        /// <summary>Bands [from, to), image after image.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run(int from, int to)
        {
            for (int job = from; job < to; job++)
            {
                int n = job / shape.Bands.Length;
                conv.RunBand(shape, shape.Bands[job % shape.Bands.Length], input + (long)n * shape.InHeight * shape.InWidth * conv.Channels,
                    output + (long)n * shape.OutHeight * shape.OutWidth * conv.Channels);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void RunBand(Shape s, Band band, byte* image, byte* output)
    {
        int[] inputRows = s.InputRows[band.Rows]!;
        byte** rows = stackalloc byte*[inputRows.Length];
        int firstRow = band.Row * Geometry.Stride[0] - Geometry.PadBegin[0];
        output += (long)band.Row * s.OutWidth * Channels;
        for (int i = 0; i < inputRows.Length; i++)
        {
            int row = firstRow + inputRows[i];
            rows[i] = (uint)row < (uint)s.InHeight ? image + (long)row * s.InWidth * Channels : s.OutsideRow;
        }
        foreach (Stretch stretch in s.Stretches)
        {
            long offset = (long)(stretch.Begin * Geometry.Stride[1] - Geometry.PadBegin[1]) * Channels;
            MachineCode code = stretch.Codes[band.Rows] ??= Generate(s.Spec(this, band.Rows, stretch.Outside));
            RunPixels(code, rows, offset, output + (long)stretch.Begin * Channels, stretch.Pixels, s.Padding);
        }
    }

    private Shape ShapeFor(int batch, int height, int width)
    {
        Shape? known = shape;
        int threads = KernelThreads.Worth((long)batch * height * width / (Geometry.Stride[0] * Geometry.Stride[1]) * Channels * Problem.Depth, ProductsPerThread);
        if (known is null || known.InHeight != height || known.InWidth != width || known.Threads != threads)
            shape = known = new Shape(this, height, width, threads);
        return known;
    }

    /// <summary>Output rows that are made together.</summary>
    private readonly record struct Band(int Row, int Rows);

    /// <summary>Output columns whose windows have the same kernel columns outside the image; and the code for bands of so many rows.</summary>
    private sealed record Stretch(int Begin, int Pixels, uint Outside, MachineCode?[] Codes);

    /// <summary>How images of one size are cut into bands.</summary>
    private sealed class Shape
    {
        private readonly PackedMemory outsideRow;

        public Shape(TiledDepthwise conv, int height, int width, int threads)
        {
            ConvGeometry g = conv.Geometry;
            int[] outSize = g.OutputSize([height, width]);
            (InHeight, InWidth, OutHeight, OutWidth, Threads) = (height, width, outSize[0], outSize[1], threads);
            Padding = (byte)(conv.Problem.InputZeroPoint ^ conv.Problem.InputFlip);
            outsideRow = new PackedMemory((long)width * conv.Channels);
            new Span<byte>(outsideRow.Address, width * conv.Channels).Fill(Padding);
            int most = conv.MostRows, bands = Math.Max((OutHeight + most - 1) / most, Math.Min(OutHeight, threads)), least = OutHeight / bands, more = OutHeight % bands;
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

        public DepthwiseBand Spec(TiledDepthwise conv, int rows, uint outside) => new()
        {
            Rows = rows,
            RowStride = conv.Geometry.Stride[0],
            KernelRows = conv.Geometry.Kernel[0],
            RowDilation = conv.Geometry.Dilation[0],
            Columns = new PixelOffsets([.. Enumerable.Range(0, conv.Geometry.Kernel[1]).Select(kw => kw * conv.Geometry.Dilation[1] * conv.Channels)]),
            OutsideColumns = outside,
            OutputRowStep = OutWidth * conv.Channels,
            Flip = conv.Problem.InputFlip != 0,
            Form = conv.FormShape,
        };

        private static Stretch[] Cut(ConvGeometry g, int inWidth, int outWidth, int most)
        {
            uint[] outside = [.. Enumerable.Range(0, outWidth).Select(Outside)];
            List<Stretch> stretches = [];
            for (int w = 0, end; w < outWidth; w = end)
            {
                for (end = w + 1; end < outWidth && outside[end] == outside[w];)
                    end++;
                stretches.Add(new Stretch(w, end - w, outside[w], new MachineCode?[most + 1]));
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
    }
}
