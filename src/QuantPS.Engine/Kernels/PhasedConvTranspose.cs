using System.Buffers;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics.Requantization;

namespace QuantPS.Engine.Kernels;

/// <summary>Transposed convolution of one or two dimensions as a convolution: outputs that lie a stride apart are made of the same taps, so each of their positions
/// within a stride (a phase) is a convolution of the input, and all phases together are one, with as many outputs a channel. Its results are then put where they belong.</summary>
/// <remarks>Output y with y + padding = q * stride + r is the sum over t of input q - t times tap r + stride * t: a window of ceil(kernel / stride) inputs that ends at q.
/// Phases with fewer taps have the weights' zero point in their place, which adds nothing. With a stride of 1 there is one phase, and a dilated window is a dilated one.</remarks>
internal sealed class PhasedConvTranspose : ConvTransposeKernel, IDisposable
{
    private const int Least = 16 * 1024;

    private readonly ConvTransposeProblem problem;
    private readonly ConvKernel inner;
    private readonly Axis height, width;

    // Where the channels of a pixel lie from its first one on; null where they lie side by side.
    private readonly int[]? channels;

    private PhasedConvTranspose(ConvTransposeProblem problem, ConvKernel inner, Axis height, Axis width)
    {
        (this.problem, this.inner, this.height, this.width) = (problem, inner, height, width);
        if (problem.Geometry.Groups > 1)
            channels = [.. Enumerable.Range(0, problem.OutputChannels).Select(o => Place(problem, height, width, o, 0, 0))];
    }

    public override string Name => $"phased-conv-transpose ({inner.Name})";

    /// <inheritdoc/>
    public override KernelLayout Layout => KernelLayout.ChannelsLast;

    /// <param name="problem">Any.</param>
    /// <param name="create">The engine's formula for other channels.</param>
    /// <returns>null for three dimensions, for windows that are dilated along a dimension with a stride, and where the inner kernel works plane by plane.</returns>
    public static PhasedConvTranspose? TryCreate(ConvTransposeProblem problem, Func<RequantizationSpec, Requantizer> create)
    {
        ConvTransposeGeometry g = problem.Geometry;
        if (g.SpatialRank > 2 || g.Dilation.Zip(g.Stride).Any(d => d.First != 1 && d.Second != 1))
            return null;
        Axis height = g.SpatialRank == 2 ? Axis.Of(g, 0) : Axis.None, width = Axis.Of(g, g.SpatialRank - 1);
        int phases = height.Stride * width.Stride, perGroup = problem.InputChannels / g.Groups;
        // The output channel behind every one of the inner convolution.
        var channelOf = new int[problem.OutputChannels * phases];
        var weight = new sbyte[channelOf.Length * perGroup * height.Taps * width.Taps];
        for (int o = 0; o < problem.OutputChannels; o++)
        {
            for (int p = 0; p < phases; p++)
            {
                int channel = Place(problem, height, width, o, p / width.Stride, p % width.Stride);
                channelOf[channel] = o;
                Span<sbyte> to = weight.AsSpan(channel * perGroup * height.Taps * width.Taps);
                for (int i = 0; i < perGroup * height.Taps * width.Taps; i++)
                {
                    (int c, int u) = Math.DivRem(i, height.Taps * width.Taps);
                    int y = height.Tap(p / width.Stride, u / width.Taps), x = width.Tap(p % width.Stride, u % width.Taps);
                    to[i] = y < height.Kernel && x < width.Kernel ? problem.Weight.Span[WeightAt(problem, o, c) * height.Kernel * width.Kernel + y * width.Kernel + x]
                        : (sbyte)problem.WeightZeroPoints[o];
                }
            }
        }
        RequantizationSpec spec = problem.Requantizer.Spec;
        ConvKernel inner = KernelSelector.Select(new ConvProblem
        {
            Weight = weight,
            WeightZeroPoints = ByChannel(problem.WeightZeroPoints),
            OutputChannels = channelOf.Length,
            ChannelsPerGroup = perGroup,
            Geometry = new ConvGeometry([height.Taps, width.Taps], null, [height.Before, width.Before], [height.Behind, width.Behind], [height.Dilation, width.Dilation], g.Groups),
            InputZeroPoint = problem.InputZeroPoint,
            InputFlip = problem.InputFlip,
            Requantizer = create(spec with
            {
                OutputChannels = channelOf.Length,
                WeightScales = spec.WeightScales.Length == 1 ? spec.WeightScales : ByChannel(spec.WeightScales),
                Bias = spec.Bias is null ? null : ByChannel(spec.Bias),
                IntegerBias = spec.IntegerBias is null ? null : ByChannel(spec.IntegerBias),
            }),
        });
        if (inner.Layout == KernelLayout.ChannelsLast)
            return new PhasedConvTranspose(problem, inner, height, width);
        (inner as IDisposable)?.Dispose();
        return null;

        T[] ByChannel<T>(T[] numbers) => Array.ConvertAll(channelOf, o => numbers[o]);
    }

    public override void Run(ReadOnlyMemory<byte> input, int batch, int[] inputSpatial, Memory<byte> output)
    {
        if (output.Length == 0)
            return;
        int[] to = problem.Geometry.OutputSize(inputSpatial);
        int h = inputSpatial.Length == 2 ? inputSpatial[0] : 1, w = inputSpatial[^1], rows = inputSpatial.Length == 2 ? to[0] : 1;
        int columns = width.Positions(w), bytes = batch * height.Positions(h) * columns * height.Stride * width.Stride * problem.OutputChannels;
        byte[] phases = ArrayPool<byte>.Shared.Rent(bytes);
        inner.Run(input, batch, [h, w], phases.AsMemory(0, bytes));
        int row = to[^1] * problem.OutputChannels;
        KernelThreads.Split(batch * rows, Math.Max(1, Least / row), new Rows(this, phases, output, rows, height.Positions(h), columns, to[^1]));
        ArrayPool<byte>.Shared.Return(phases);
    }

    public void Dispose() => (inner as IDisposable)?.Dispose();

    /// <summary>The inner convolution's channel: of a group all phases lie together, each with all its channels.</summary>
    private static int Place(ConvTransposeProblem problem, Axis height, Axis width, int o, int row, int column)
    {
        int perGroup = problem.OutputChannels / problem.Geometry.Groups;
        (int group, int within) = Math.DivRem(o, perGroup);
        return ((group * height.Stride + row) * width.Stride + column) * perGroup + within;
    }

    /// <summary>Which kernel of the weights [I, O / groups] goes from an input channel of the group to an output channel.</summary>
    private static int WeightAt(ConvTransposeProblem problem, int o, int c)
    {
        int groups = problem.Geometry.Groups, perGroup = problem.OutputChannels / groups;
        return (o / perGroup * (problem.InputChannels / groups) + c) * perGroup + o % perGroup;
    }

    /// <summary>Output rows, out of the phases of all windows.</summary>
    private readonly struct Rows(PhasedConvTranspose conv, byte[] phases, Memory<byte> output, int rows, int windowRows, int windows, int columns) : IKernelWork
    {
        public void Run(int from, int to)
        {
            int outputs = conv.problem.OutputChannels, row = columns * outputs, perGroup = outputs / conv.problem.Geometry.Groups;
            // From window to window, and from one row of phases to the next.
            int window = conv.height.Stride * conv.width.Stride * outputs, rowOfWindow = conv.width.Stride * perGroup;
            for (int r = from; r < to; r++)
            {
                (int n, int y) = Math.DivRem(r, rows);
                (int q, int phase) = conv.height.Find(y);
                ReadOnlySpan<byte> x = phases.AsSpan((n * windowRows + q) * windows * window + phase * rowOfWindow);
                Span<byte> line = output.Span.Slice(r * row, row);
                if (conv.channels is null)
                    Blocks(x, line, window, outputs);
                else
                    Channels(x, line, window, perGroup, conv.channels);
            }
        }

        /// <summary>All columns of a window lie side by side, but the first and the last one's may lie outside.</summary>
        private void Blocks(ReadOnlySpan<byte> x, Span<byte> y, int window, int outputs)
        {
            int stride = conv.width.Stride, run = stride * outputs;
            (int q, int phase) = conv.width.Find(0);
            int first = phase == 0 ? 0 : Math.Min(stride - phase, columns), whole = (columns - first) / stride;
            x.Slice(q * window + phase * outputs, first * outputs).CopyTo(y);
            q += first > 0 ? 1 : 0;
            y = y[(first * outputs)..];
            RunsKernel.Gather(x, q * window, window, y[..(whole * run)], run);
            x.Slice(whole * run < y.Length ? (q + whole) * window : 0, y.Length - whole * run).CopyTo(y[(whole * run)..]);
        }

        private void Channels(ReadOnlySpan<byte> x, Span<byte> y, int window, int perGroup, int[] channels)
        {
            for (int column = 0; column < columns; column++)
            {
                (int q, int phase) = conv.width.Find(column);
                ReadOnlySpan<byte> pixel = x[(q * window + phase * perGroup)..];
                Span<byte> to = y.Slice(column * channels.Length, channels.Length);
                for (int c = 0; c < channels.Length; c++)
                    to[c] = pixel[channels[c]];
            }
        }
    }

    /// <summary>One dimension: the window, and the margins that the input gets for it.</summary>
    private readonly record struct Axis(int Kernel, int Stride, int Dilation, int Padding, int PaddingEnd, int OutputPadding)
    {
        /// <summary>Of a signal, which has no height.</summary>
        public static readonly Axis None = new(1, 1, 1, 0, 0, 0);

        /// <summary>Inputs of a window.</summary>
        public int Taps => (Kernel + Stride - 1) / Stride;

        public int Before => Math.Max(0, Reach - Padding / Stride);

        public int Behind => Math.Max(0, (int)Math.Floor((double)(Dilation * (Kernel - 1) + OutputPadding - PaddingEnd) / Stride));

        /// <summary>From a window's first input to its last one.</summary>
        private int Reach => Dilation * (Taps - 1);

        public static Axis Of(ConvTransposeGeometry g, int d) => new(g.Kernel[d], g.Stride[d], g.Dilation[d], g.Padding[d], g.PaddingEnd[d], g.OutputPadding[d]);

        /// <summary>The tap of a phase at a place of the window; there may be none so far behind.</summary>
        public int Tap(int phase, int place) => phase + Stride * (Taps - 1 - place);

        /// <summary>Windows of an input.</summary>
        public int Positions(int size) => size + Before + Behind - Reach;

        /// <summary>The window and the phase that an output position is found in.</summary>
        public (int Window, int Phase) Find(int position)
        {
            (int q, int phase) = Math.DivRem(position + Padding, Stride);
            return (q - Reach + Before, phase);
        }
    }
}
