namespace QuantPS.Engine.Kernels.Reference;

/// <summary>The oracle for average pooling: window by window, pixel by pixel.</summary>
internal static class ReferenceAveragePool
{
    /// <param name="x">An image in either layout.</param>
    /// <param name="y">Receives the output in the same layout.</param>
    /// <param name="shape">The windows.</param>
    /// <param name="channels">Of the image.</param>
    /// <param name="rule">The arithmetic.</param>
    /// <param name="layout">Of both.</param>
    public static void Run(ReadOnlySpan<byte> x, Span<byte> y, PoolShape shape, int channels, in AverageRule rule, KernelLayout layout)
    {
        for (int c = 0; c < channels; c++)
        {
            for (int p = 0; p < shape.OutCount; p++)
            {
                (int row, int w) = Math.DivRem(p, shape.W.Out);
                (int d, int h) = Math.DivRem(row, shape.H.Out);
                bool last = layout == KernelLayout.ChannelsLast;
                y[last ? p * channels + c : c * shape.OutCount + p] = Mean(x, shape, d, h, w, last ? c : c * shape.InCount, last ? channels : 1, rule, c >= rule.VectorChannels);
            }
        }
    }

    /// <summary>One window.</summary>
    /// <param name="x">The image.</param>
    /// <param name="s">The windows.</param>
    /// <param name="d">Output position.</param>
    /// <param name="h">Output position.</param>
    /// <param name="w">Output position.</param>
    /// <param name="start">Where the channel's first pixel is.</param>
    /// <param name="step">From pixel to pixel of a channel.</param>
    /// <param name="rule">The arithmetic.</param>
    /// <param name="tail">Whether the channel is one of the last, which have a factor of their own.</param>
    public static byte Mean(ReadOnlySpan<byte> x, PoolShape s, int d, int h, int w, int start, int step, in AverageRule rule, bool tail)
    {
        (int d0, int nD, int wholeD) = s.D.Window(d);
        (int h0, int nH, int wholeH) = s.H.Window(h);
        (int w0, int nW, int wholeW) = s.W.Window(w);
        int sum = 0;
        float reals = 0;
        for (int i = d0; i < d0 + nD; i++)
        {
            for (int j = h0; j < h0 + nH; j++)
            {
                for (int k = w0; k < w0 + nW; k++)
                {
                    byte b = x[start + ((i * s.H.Size + j) * s.W.Size + k) * step];
                    int v = rule.Signed ? (sbyte)b : b;
                    sum += v - rule.ZeroPoint;
                    reals += rule.Real(v);
                }
            }
        }
        float factor = rule.Factor((nD, wholeD), (nH, wholeH), (nW, wholeW), tail);
        return rule.IsOfReals ? rule.Apply(reals, factor) : rule.Apply(sum, factor);
    }
}
