namespace QuantPS.Engine.Kernels.Reference;

/// <summary>The oracle for linear interpolation: value by value.</summary>
internal static class ReferenceLinearResize
{
    /// <param name="x">An image, [height, width, channels].</param>
    /// <param name="y">Receives rows of the result, [to - from, output width, channels].</param>
    /// <param name="height">Of rows.</param>
    /// <param name="width">Of pixels.</param>
    /// <param name="channels">Of the image.</param>
    /// <param name="rule">The arithmetic.</param>
    /// <param name="from">First row of the result.</param>
    /// <param name="to">Behind the last row.</param>
    public static void Run(ReadOnlySpan<byte> x, Span<byte> y, LinearResizeAxis height, LinearResizeAxis width, int channels, in LinearResizeRule rule, int from, int to)
    {
        int at = 0;
        for (int h = from; h < to; h++)
        {
            int upper = height.First[h] * width.Size, lower = height.Second[h] * width.Size;
            float y0 = height.FirstWeights[h], y1 = height.SecondWeights[h];
            for (int w = 0; w < width.Count; w++)
            {
                int left = width.First[w], right = width.Second[w];
                float x0 = width.FirstWeights[w], x1 = width.SecondWeights[w];
                for (int c = 0; c < channels; c++)
                {
                    float v = x0 * y0 * rule.Real(x[(upper + left) * channels + c]) + x1 * y0 * rule.Real(x[(upper + right) * channels + c])
                        + x0 * y1 * rule.Real(x[(lower + left) * channels + c]) + x1 * y1 * rule.Real(x[(lower + right) * channels + c]);
                    y[at++] = unchecked((byte)rule.Output.Apply(v));
                }
            }
        }
    }
}
