using QuantPS.Engine.Layers;

namespace QuantPS.Engine.Kernels.Reference;

/// <summary>im2col: what each output's window sees, as a column.</summary>
public static class Columns
{
    /// <param name="image">[channels, spatial...] of one group, zero point taken off.</param>
    /// <param name="channels">Channels of the group.</param>
    /// <param name="geometry">The window.</param>
    /// <param name="spatial">Spatial sizes of the image.</param>
    /// <param name="columns">Receives [channels * taps, outputs]; zero where the window hangs over the edge.</param>
    public static void Gather(ReadOnlySpan<short> image, int channels, ConvGeometry geometry, ReadOnlySpan<int> spatial, Span<short> columns)
    {
        SpatialWindow s = new(geometry, spatial);
        columns.Clear();
        int row = 0;
        for (int c = 0; c < channels; c++)
        {
            ReadOnlySpan<short> plane = image.Slice(c * s.InCount, s.InCount);
            for (int kd = 0; kd < s.Kernel.D; kd++)
                for (int kh = 0; kh < s.Kernel.H; kh++)
                    for (int kw = 0; kw < s.Kernel.W; kw++)
                        GatherTap(s, plane, kd, kh, kw, columns.Slice(row++ * s.OutCount, s.OutCount));
        }
    }

    private static void GatherTap(SpatialWindow s, ReadOnlySpan<short> plane, int kd, int kh, int kw, Span<short> row)
    {
        (int d0, int d1) = SpatialWindow.Valid(kd, s.In.D, s.Out.D, s.Stride.D, s.Dilation.D, s.Pad.D);
        (int h0, int h1) = SpatialWindow.Valid(kh, s.In.H, s.Out.H, s.Stride.H, s.Dilation.H, s.Pad.H);
        (int w0, int w1) = SpatialWindow.Valid(kw, s.In.W, s.Out.W, s.Stride.W, s.Dilation.W, s.Pad.W);
        for (int d = d0; d < d1; d++)
        {
            for (int h = h0; h < h1; h++)
            {
                int line = ((d * s.Stride.D - s.Pad.D + kd * s.Dilation.D) * s.In.H + h * s.Stride.H - s.Pad.H + kh * s.Dilation.H) * s.In.W;
                int x = line + w0 * s.Stride.W - s.Pad.W + kw * s.Dilation.W;
                for (int w = w0; w < w1; w++, x += s.Stride.W)
                    row[(d * s.Out.H + h) * s.Out.W + w] = plane[x];
            }
        }
    }
}
