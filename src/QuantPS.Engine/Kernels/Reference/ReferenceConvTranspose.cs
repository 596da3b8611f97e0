using QuantPS.Engine.Layers;

namespace QuantPS.Engine.Kernels.Reference;

/// <summary>The oracle for transposed convolutions: every input (x - z_x) is spread by (w - z_w) onto int32 accumulators, then requantized.</summary>
/// <remarks>Output i * stride - padding + tap * dilation receives input i; what falls outside is dropped. int32 sums wrap.</remarks>
public sealed class ReferenceConvTranspose(ConvTransposeProblem problem) : ConvTransposeKernel
{
    public override string Name => "reference-conv-transpose";

    /// <inheritdoc/>
    public override void Run(ReadOnlyMemory<byte> input, int batch, int[] inputSpatial, Memory<byte> output)
    {
        (int D, int H, int W) inSize = PoolInput.Three(inputSpatial, 1), outSize = PoolInput.Three(problem.Geometry.OutputSize(inputSpatial), 1);
        int inCount = inSize.D * inSize.H * inSize.W, outCount = outSize.D * outSize.H * outSize.W;
        Parallel.For(0, batch * problem.OutputChannels, () => new int[outCount], (plane, _, accumulators) =>
        {
            int n = plane / problem.OutputChannels, o = plane % problem.OutputChannels;
            Accumulate(input.Span.Slice(n * problem.InputChannels * inCount, problem.InputChannels * inCount), inSize, outSize, o, accumulators);
            Span<byte> y = output.Span.Slice(plane * outCount, outCount);
            for (int i = 0; i < y.Length; i++)
                y[i] = unchecked((byte)problem.Requantizer.Apply(accumulators[i], o));
            return accumulators;
        }, _ => { });
    }

    private void Accumulate(ReadOnlySpan<byte> image, (int D, int H, int W) inSize, (int D, int H, int W) outSize, int o, Span<int> accumulators)
    {
        ConvTransposeGeometry g = problem.Geometry;
        (int D, int H, int W) kernel = PoolInput.Three(g.Kernel, 1);
        int taps = kernel.D * kernel.H * kernel.W, inCount = inSize.D * inSize.H * inSize.W;
        int inPerGroup = problem.InputChannels / g.Groups, outPerGroup = problem.OutputChannels / g.Groups;
        (int group, int within) = Math.DivRem(o, outPerGroup);
        accumulators.Clear();
        for (int c = group * inPerGroup; c < (group + 1) * inPerGroup; c++)
        {
            ReadOnlySpan<byte> channel = image.Slice(c * inCount, inCount);
            ReadOnlySpan<sbyte> weights = problem.Weight.Span.Slice((c * outPerGroup + within) * taps, taps);
            for (int t = 0; t < taps; t++)
                Spread(channel, inSize, outSize, weights[t] - problem.WeightZeroPoints[o], t / (kernel.H * kernel.W), t / kernel.W % kernel.H, t % kernel.W, accumulators);
        }
    }

    private void Spread(ReadOnlySpan<byte> channel, (int D, int H, int W) inSize, (int D, int H, int W) outSize, int w, int kd, int kh, int kw, Span<int> accumulators)
    {
        ConvTransposeGeometry g = problem.Geometry;
        (int D, int H, int W) stride = PoolInput.Three(g.Stride, 1), pad = PoolInput.Three(g.Padding, 0), dilation = PoolInput.Three(g.Dilation, 1);
        for (int i = 0; i < channel.Length; i++)
        {
            int od = i / (inSize.H * inSize.W) * stride.D - pad.D + kd * dilation.D;
            int oh = i / inSize.W % inSize.H * stride.H - pad.H + kh * dilation.H;
            int ow = i % inSize.W * stride.W - pad.W + kw * dilation.W;
            if ((uint)od < (uint)outSize.D && (uint)oh < (uint)outSize.H && (uint)ow < (uint)outSize.W)
                accumulators[(od * outSize.H + oh) * outSize.W + ow] += ((channel[i] ^ problem.InputFlip) - problem.InputZeroPoint) * w;
        }
    }
}
