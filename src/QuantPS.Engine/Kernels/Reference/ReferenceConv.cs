namespace QuantPS.Engine.Kernels.Reference;

/// <summary>The oracle for convolutions: for every output channel, tap by tap, add (x - z_x)(w - z_w) to int32 accumulators, then requantize.</summary>
/// <remarks>Positions outside the image add nothing, which is the same as padding with z_x. int32 sums wrap.</remarks>
public sealed class ReferenceConv(ConvProblem problem) : ConvKernel
{
    public override string Name => "reference-conv";

    public override void Run(ReadOnlyMemory<byte> input, int batch, int[] inputSpatial, Memory<byte> output)
    {
        var window = new SpatialWindow(problem.Geometry, inputSpatial);
        int planes = batch * problem.OutputChannels;
        KernelThreads.Split(planes, (first, end) =>
        {
            var accumulators = new int[window.OutCount];
            for (int plane = first; plane < end; plane++)
            {
                int n = plane / problem.OutputChannels, o = plane % problem.OutputChannels;
                Accumulate(problem, window, input.Span.Slice(n * problem.InputChannels * window.InCount), o, accumulators);
                Span<byte> y = output.Span.Slice(plane * window.OutCount, window.OutCount);
                for (int i = 0; i < y.Length; i++)
                    y[i] = unchecked((byte)problem.Requantizer.Apply(accumulators[i], o));
            }
        });
    }

    /// <summary>The accumulators of one image's output channel, without bias.</summary>
    internal static void Accumulate(ConvProblem p, SpatialWindow s, ReadOnlySpan<byte> image, int o, Span<int> accumulators)
    {
        accumulators.Clear();
        int group = o / (p.OutputChannels / p.Geometry.Groups);
        ReadOnlySpan<sbyte> weights = p.Weight.Span.Slice(o * p.Depth, p.Depth);
        int at = 0;
        for (int c = 0; c < p.ChannelsPerGroup; c++)
        {
            ReadOnlySpan<byte> channel = image.Slice((group * p.ChannelsPerGroup + c) * s.InCount, s.InCount);
            for (int kd = 0; kd < s.Kernel.D; kd++)
                for (int kh = 0; kh < s.Kernel.H; kh++)
                    for (int kw = 0; kw < s.Kernel.W; kw++)
                        AddTap(p, s, channel, weights[at++] - p.WeightZeroPoints[o], kd, kh, kw, accumulators);
        }
    }

    private static void AddTap(ConvProblem p, SpatialWindow s, ReadOnlySpan<byte> channel, int w, int kd, int kh, int kw, Span<int> accumulators)
    {
        (int d0, int d1) = SpatialWindow.Valid(kd, s.In.D, s.Out.D, s.Stride.D, s.Dilation.D, s.Pad.D);
        (int h0, int h1) = SpatialWindow.Valid(kh, s.In.H, s.Out.H, s.Stride.H, s.Dilation.H, s.Pad.H);
        (int w0, int w1) = SpatialWindow.Valid(kw, s.In.W, s.Out.W, s.Stride.W, s.Dilation.W, s.Pad.W);
        int flip = p.InputFlip, zero = p.InputZeroPoint, step = s.Stride.W;
        for (int d = d0; d < d1; d++)
        {
            for (int h = h0; h < h1; h++)
            {
                int row = ((d * s.Stride.D - s.Pad.D + kd * s.Dilation.D) * s.In.H + h * s.Stride.H - s.Pad.H + kh * s.Dilation.H) * s.In.W;
                int x = row + w0 * step - s.Pad.W + kw * s.Dilation.W;
                Span<int> sums = accumulators.Slice((d * s.Out.H + h) * s.Out.W + w0, w1 - w0);
                for (int i = 0; i < sums.Length; i++, x += step)
                    sums[i] += ((channel[x] ^ flip) - zero) * w;
            }
        }
    }
}
