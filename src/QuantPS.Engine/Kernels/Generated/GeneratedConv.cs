using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics.Requantization;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>Convolution by machine code made for its shape: implicit GEMM on channels-last activations, AVX-512 VNNI.</summary>
/// <remarks>Symmetric weights (zero point 0). Images are copied into a padded buffer first where there is padding, a change of sign, or a run of
/// bytes that is no multiple of four; else they are read where they are.</remarks>
internal sealed unsafe class GeneratedConv : ConvKernel, IDisposable
{
    private const int MostPixels = ConvTileCode.MostAccumulators / 2;
    private readonly ConvProblem problem;
    private readonly RequantizationForm form;
    private readonly FormShape formShape;
    private readonly int channels, outputs, perGroupOut, blocksPerGroup, runQuads;
    private readonly (int H, int W)[] runStarts;
    private readonly int[] start;
    private readonly PackedMemory weightMemory, parameterMemory;
    private readonly sbyte* weights;
    private readonly byte* parameters;
    private readonly int parameterStride;
    private readonly bool copies;
    private Shape? shape;

    private GeneratedConv(ConvProblem problem)
    {
        this.problem = problem;
        ConvGeometry g = problem.Geometry;
        form = problem.Requantizer.Form;
        channels = problem.InputChannels;
        outputs = problem.OutputChannels;
        perGroupOut = outputs / g.Groups;
        blocksPerGroup = (perGroupOut + 15) / 16;
        // Taps of a kernel row lie side by side in memory when nothing is left out between them.
        bool rows = g.Groups == 1 && g.Dilation[1] == 1;
        int runBytes = rows ? g.Kernel[1] * channels : problem.ChannelsPerGroup;
        runQuads = (runBytes + 3) / 4;
        runStarts = [.. from kh in Enumerable.Range(0, g.Kernel[0]) from kw in Enumerable.Range(0, rows ? 1 : g.Kernel[1]) select (kh * g.Dilation[0], kw * g.Dilation[1])];
        weightMemory = new PackedMemory(GroupWeightBytes * g.Groups);
        copies = problem.InputFlip != 0 || runBytes % 4 != 0 || g.PadBegin.Any(p => p > 0) || g.PadEnd.Any(p => p > 0);
        start = AccumulatorStart.Of(problem);
        weights = Pack(rows, runBytes);
        formShape = FormShape.Of(form, start, problem.Depth);
        parameterStride = ConvTileCode.ParameterBytes(formShape, 2);
        int pairs = PairsPerGroup * g.Groups;
        parameterMemory = new PackedMemory((long)pairs * parameterStride);
        parameters = parameterMemory.Address;
        for (int pair = 0; pair < pairs; pair++)
        {
            (int first, int blocks, _) = Channels(pair);
            // Lanes behind a group's last channel get the next group's numbers; they are never stored.
            ConvTileCode.WriteParameters(form, formShape, start, first, blocks, parameters + (long)pair * parameterStride);
        }
    }

    public override string Name => "generated-conv-nhwc-14x32-avx512vnni";

    /// <inheritdoc/>
    public override KernelLayout Layout => KernelLayout.ChannelsLast;

    private int PairsPerGroup => (blocksPerGroup + 1) / 2;

    /// <summary>The kernel, or null for what it is not made for: other than two dimensions, asymmetric weights, groups of fewer than four channels.</summary>
    public static ConvKernel? TryCreate(ConvProblem problem) =>
        problem.Geometry.SpatialRank == 2 && Array.TrueForAll(problem.WeightZeroPoints, z => z == 0) && (problem.Geometry.Groups == 1 || problem.ChannelsPerGroup >= 4)
        && RequantizationCode.Takes(problem.Requantizer.Form)
            ? new GeneratedConv(problem)
            : null;

    public override void Run(ReadOnlyMemory<byte> input, int batch, int[] inputSpatial, Memory<byte> output)
    {
        Shape s = ShapeFor(inputSpatial[0], inputSpatial[1]);
        using System.Buffers.MemoryHandle x = input.Pin(), y = output.Pin();
        byte* from = (byte*)x.Pointer, to = (byte*)y.Pointer;
        byte* padded = copies ? Scratch.Get((long)batch * s.ImageBytes + 64) : null;
        byte* image = copies ? padded : from;
        int pairs = PairsPerGroup * problem.Geometry.Groups, bands = s.Bands.Length;
        if (copies)
            KernelThreads.Split(batch * s.Height, (a, b) => CopyRows(s, from, padded, a, b));
        // A band is a row, or a few, of one image. Threads get bands, each with all channels: two that wrote neighbouring channels of a pixel
        // would fight for its cache line. Within a thread, pair after pair of channel blocks, so that the weights stay in the cache. Only
        // where there are fewer bands than threads, the pairs are shared out.
        int units = batch * bands;
        if (units >= KernelThreads.Count)
        {
            KernelThreads.Split(units, (a, b) =>
            {
                for (int pair = 0; pair < pairs; pair++)
                    for (int unit = a; unit < b; unit++)
                        Unit(pair, unit);
            });
        }
        else
        {
            KernelThreads.Split(pairs * units, (a, b) =>
            {
                for (int job = a; job < b; job++)
                    Unit(job / units, job % units);
            });
        }
        // Finalizers free weights and parameters, and the code that reads them holds no reference to this object.
        GC.KeepAlive(this);

        void Unit(int pair, int unit)
        {
            int n = unit / bands;
            RunBand(s, s.Bands[unit % bands], image + (long)n * s.ImageBytes, to + (long)n * s.OutHeight * s.OutWidth * outputs, pair);
        }
    }

    private void RunBand(Shape s, Band band, byte* image, byte* output, int pair)
    {
        (int first, int blocks, int last) = Channels(pair);
        int group = pair / PairsPerGroup;
        ConvTileCall call;
        call.Input = image + (long)band.Row * problem.Geometry.Stride[0] * s.Pitch + (long)band.Column * problem.Geometry.Stride[1] * channels + group * problem.ChannelsPerGroup;
        call.Weights = weights + (long)group * GroupWeightBytes + (long)(pair % PairsPerGroup) * 2 * 64 * runQuads * runStarts.Length;
        call.Output = output + ((long)band.Row * s.OutWidth + band.Column) * outputs + first;
        call.Parameters = parameters + (long)pair * parameterStride;
        call.Tiles = band.Tiles;
        Code(s, band.Tile, blocks, last).Run(&call);
    }

    private ConvTileCode Code(Shape s, Tile tile, int blocks, int last)
    {
        int key = (blocks - 1) * 17 + last;
        return tile.Codes[key] ??= ConvTileCode.For(new ConvTileSpec
        {
            Pixels = new PixelOffsets(tile.Offsets),
            ChannelBlocks = blocks,
            LastBlockChannels = last,
            Runs = new PixelOffsets([.. runStarts.Select(r => r.H * s.Pitch + r.W * channels)]),
            RunQuads = runQuads,
            InputStep = tile.InputStep,
            OutputPixelStep = outputs,
            Form = formShape,
        });
    }

    /// <summary>First output channel, number of blocks and channels of the last block of a pair of blocks.</summary>
    private (int First, int Blocks, int Last) Channels(int pair)
    {
        int group = pair / PairsPerGroup, block = pair % PairsPerGroup * 2, blocks = Math.Min(2, blocksPerGroup - block);
        int inGroup = Math.Min(perGroupOut - block * 16, blocks * 16);
        return (group * perGroupOut + block * 16, blocks, inGroup - (blocks - 1) * 16);
    }

    private long GroupWeightBytes => (long)PairsPerGroup * 2 * 64 * runQuads * runStarts.Length;

    /// <summary>[group][pair][run][quad][block][channel][4], zero behind the ends.</summary>
    private sbyte* Pack(bool rows, int runBytes)
    {
        ConvGeometry g = problem.Geometry;
        var packed = (sbyte*)weightMemory.Address;
        ReadOnlySpan<sbyte> w = problem.Weight.Span;
        int kh = g.Kernel[0], kw = g.Kernel[1], perGroup = problem.ChannelsPerGroup;
        for (int pair = 0; pair < PairsPerGroup * g.Groups; pair++)
        {
            (int first, int blocks, int last) = Channels(pair);
            sbyte* to = packed + (pair / PairsPerGroup) * GroupWeightBytes + (long)(pair % PairsPerGroup) * 2 * 64 * runQuads * runStarts.Length;
            for (int run = 0; run < runStarts.Length; run++)
            {
                for (int k = 0; k < runBytes; k++)
                {
                    int tapH = rows ? run : run / kw, tapW = rows ? k / perGroup : run % kw, channel = k % perGroup;
                    for (int c = 0; c < (blocks - 1) * 16 + last; c++)
                    {
                        long at = ((((long)run * runQuads + k / 4) * blocks + c / 16) * 16 + c % 16) * 4 + k % 4;
                        to[at] = w[((first + c) * perGroup + channel) * kh * kw + tapH * kw + tapW];
                    }
                }
            }
        }
        return packed;
    }

    private void CopyRows(Shape s, byte* from, byte* to, int first, int end)
    {
        ConvGeometry g = problem.Geometry;
        int rowBytes = s.InWidth * channels, left = g.PadBegin[1] * channels;
        byte zero = (byte)problem.InputZeroPoint, flip = problem.InputFlip;
        for (int row = first; row < end; row++)
        {
            int n = row / s.Height, h = row % s.Height - g.PadBegin[0];
            Span<byte> target = new(to + (long)n * s.ImageBytes + (long)(row % s.Height) * s.Pitch, s.Pitch);
            if ((uint)h >= (uint)s.InHeight)
            {
                target.Fill(zero);
                continue;
            }
            ReadOnlySpan<byte> source = new(from + ((long)n * s.InHeight + h) * rowBytes, rowBytes);
            target[..left].Fill(zero);
            source.CopyTo(target[left..]);
            if (flip != 0)
            {
                foreach (ref byte b in target.Slice(left, rowBytes))
                    b ^= flip;
            }
            target[(left + rowBytes)..].Fill(zero);
        }
    }

    private Shape ShapeFor(int height, int width)
    {
        Shape? known = shape;
        if (known is null || known.InHeight != height || known.InWidth != width)
            shape = known = new Shape(this, height, width);
        return known;
    }

    public void Dispose()
    {
        weightMemory.Dispose();
        parameterMemory.Dispose();
    }

    /// <summary>A tile's pixels, and the code for it per kind of channel block.</summary>
    private sealed class Tile(int[] offsets, int inputStep)
    {
        public int[] Offsets { get; } = offsets;

        public int InputStep { get; } = inputStep;

        public ConvTileCode?[] Codes { get; } = new ConvTileCode?[2 * 17];
    }

    /// <summary>Equal tiles one behind the other, from an output row and column on.</summary>
    private readonly record struct Band(int Row, int Column, Tile Tile, int Tiles);

    /// <summary>How images of one size are cut into tiles.</summary>
    private sealed class Shape
    {
        public Shape(GeneratedConv conv, int height, int width)
        {
            ConvGeometry g = conv.problem.Geometry;
            int[] outSize = g.OutputSize([height, width]);
            (InHeight, InWidth, OutHeight, OutWidth) = (height, width, outSize[0], outSize[1]);
            Height = height + g.PadBegin[0] + g.PadEnd[0];
            Width = width + g.PadBegin[1] + g.PadEnd[1];
            Pitch = Width * conv.channels;
            ImageBytes = (long)Height * Pitch;
            int step = g.Stride[1] * conv.channels, rowStep = g.Stride[0] * Pitch;
            var bands = new List<Band>();
            if (OutWidth >= MostPixels)
            {
                // A row in tiles as equal as can be: 20 pixels are 10 and 10, not 14 and 6.
                int tiles = (OutWidth + MostPixels - 1) / MostPixels, least = OutWidth / tiles, more = OutWidth % tiles;
                Tile big = Row(least + 1), small = Row(least);
                for (int y = 0; y < OutHeight; y++)
                {
                    if (more > 0)
                        bands.Add(new Band(y, 0, big, more));
                    bands.Add(new Band(y, more * (least + 1), small, tiles - more));
                }
            }
            else
            {
                // Several whole rows a tile.
                int rows = Math.Max(1, MostPixels / OutWidth), tiles = (OutHeight + rows - 1) / rows, least = OutHeight / tiles, more = OutHeight % tiles;
                Tile big = Rows(least + 1), small = Rows(least);
                for (int t = 0; t < tiles; t++)
                    bands.Add(t < more ? new Band(t * (least + 1), 0, big, 1) : new Band(more * (least + 1) + (t - more) * least, 0, small, 1));
            }
            Bands = [.. bands];

            Tile Row(int pixels) => new([.. Enumerable.Range(0, pixels).Select(p => p * step)], pixels * step);

            Tile Rows(int rows) => new([.. from r in Enumerable.Range(0, rows) from p in Enumerable.Range(0, OutWidth) select r * rowStep + p * step], rows * rowStep);
        }

        public int InHeight { get; }

        public int InWidth { get; }

        public int OutHeight { get; }

        public int OutWidth { get; }

        /// <summary>Rows with padding.</summary>
        public int Height { get; }

        /// <summary>Columns with padding.</summary>
        public int Width { get; }

        /// <summary>Bytes of a padded row.</summary>
        public int Pitch { get; }

        /// <summary>Bytes of a padded image.</summary>
        public long ImageBytes { get; }

        public Band[] Bands { get; }
    }
}
