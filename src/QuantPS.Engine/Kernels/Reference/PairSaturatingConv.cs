namespace QuantPS.Engine.Kernels.Reference;

/// <summary>FBGEMM's depthwise kernel as it really is: products are added in pairs with int16 saturation. Compat mode only.</summary>
/// <remarks>Source: FBGEMM FbgemmI8DepthwiseAvx2-inl.h, GenerateI8Depthwise.cc (vpmaddubsw); FbgemmConv.cc takeDepthWiseFastPath for when it is chosen.
/// Pairs are neighbouring taps in row-major order of the same channel; raw x * w (0..255 times -128..127) before zero points; a padded position takes part as z_x.</remarks>
public sealed class PairSaturatingConv(ConvProblem problem) : ConvKernel
{
    public override string Name => "reference-fbgemm-depthwise";

    /// <summary>Whether FBGEMM sends this convolution to its depthwise kernel.</summary>
    public static bool Applies(ConvProblem p)
    {
        var g = p.Geometry;
        if (g.SpatialRank != 2 || p.ChannelsPerGroup != 1 || g.Groups % 8 != 0)
            return false;
        int k = g.Kernel[0];
        return (p.OutputChannels == g.Groups || p.OutputChannels == 2 * g.Groups)
            && g.Kernel[1] == k && k is 3 or 5 or 7
            && Array.TrueForAll(g.Stride, s => s is 1 or 2)
            && Array.TrueForAll(g.Dilation, d => d == 1)
            && Array.TrueForAll(g.PadBegin, p => p == (k - 1) / 2) && Array.TrueForAll(g.PadEnd, p => p == (k - 1) / 2);
    }

    public override void Run(ReadOnlyMemory<byte> input, int batch, int[] inputSpatial, Memory<byte> output)
    {
        var s = new SpatialWindow(problem.Geometry, inputSpatial);
        for (int plane = 0; plane < batch * problem.OutputChannels; plane++)
        {
            int n = plane / problem.OutputChannels, o = plane % problem.OutputChannels;
            int channel = o / (problem.OutputChannels / problem.Geometry.Groups);
            ReadOnlySpan<byte> x = input.Span.Slice((n * problem.InputChannels + channel) * s.InCount, s.InCount);
            Span<byte> y = output.Span.Slice(plane * s.OutCount, s.OutCount);
            for (int i = 0; i < y.Length; i++)
                y[i] = unchecked((byte)problem.Requantizer.Apply(Accumulate(s, x, o, i / s.Out.W, i % s.Out.W), o));
        }
    }

    private int Accumulate(SpatialWindow s, ReadOnlySpan<byte> x, int o, int oy, int ox)
    {
        ReadOnlySpan<sbyte> w = problem.Weight.Span.Slice(o * problem.Depth, problem.Depth);
        int sum = 0, pending = 0, rawX = 0, rawW = 0;
        for (int t = 0; t < w.Length; t++)
        {
            int iy = oy * s.Stride.H - s.Pad.H + t / s.Kernel.W, ix = ox * s.Stride.W - s.Pad.W + t % s.Kernel.W;
            bool inside = (uint)iy < (uint)s.In.H && (uint)ix < (uint)s.In.W;
            int value = inside ? x[iy * s.In.W + ix] ^ problem.InputFlip : problem.InputZeroPoint;
            rawX += value;
            rawW += w[t];
            int product = value * w[t];
            if ((t & 1) == 0 && t + 1 < w.Length)
                pending = product;
            else
                sum += Math.Clamp((t & 1) == 0 ? product : pending + product, short.MinValue, short.MaxValue);
        }
        int weightZero = problem.WeightZeroPoints[o];
        return sum - problem.InputZeroPoint * (rawW - weightZero * w.Length) - weightZero * rawX;
    }
}
