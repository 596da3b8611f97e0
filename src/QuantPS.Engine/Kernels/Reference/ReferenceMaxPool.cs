using System.Runtime.CompilerServices;

namespace QuantPS.Engine.Kernels.Reference;

/// <summary>The oracle for max pooling: window by window, tap by tap. Windows without a tap inside the input give the dtype's minimum.</summary>
internal static class ReferenceMaxPool
{
    /// <param name="x">An image in either layout, or several planes.</param>
    /// <param name="y">Receives the output in the same layout.</param>
    /// <param name="shape">The windows.</param>
    /// <param name="channels">Of the image.</param>
    /// <param name="signed">qint8.</param>
    /// <param name="layout">Of both.</param>
    /// <param name="nearest">Taps outside the input read the nearest pixel of its border (QNNPACK).</param>
    public static void Run(ReadOnlySpan<byte> x, Span<byte> y, PoolShape shape, int channels, bool signed, KernelLayout layout, bool nearest = false)
    {
        for (int c = 0; c < channels; c++)
        {
            for (int p = 0; p < shape.OutCount; p++)
            {
                (int row, int w) = Math.DivRem(p, shape.W.Out);
                (int d, int h) = Math.DivRem(row, shape.H.Out);
                byte largest = Largest(x, shape, d, h, w, layout == KernelLayout.ChannelsLast ? c : c * shape.InCount, layout == KernelLayout.ChannelsLast ? channels : 1, signed, nearest);
                y[layout == KernelLayout.ChannelsLast ? p * channels + c : c * shape.OutCount + p] = largest;
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
    /// <param name="signed">qint8: bytes, flipped, are ordered as unsigned ones.</param>
    /// <param name="nearest">As above.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static byte Largest(ReadOnlySpan<byte> x, PoolShape s, int d, int h, int w, int start, int step, bool signed, bool nearest)
    {
        byte flip = signed ? (byte)0x80 : (byte)0;
        int best = 0;
        for (int i = 0; i < s.D.Kernel; i++)
        {
            if (!Inside(d * s.D.Stride - s.D.Pad + i * s.D.Dilation, s.D.Size, nearest, out int atD))
                continue;
            for (int j = 0; j < s.H.Kernel; j++)
            {
                if (!Inside(h * s.H.Stride - s.H.Pad + j * s.H.Dilation, s.H.Size, nearest, out int atH))
                    continue;
                for (int k = 0; k < s.W.Kernel; k++)
                {
                    if (Inside(w * s.W.Stride - s.W.Pad + k * s.W.Dilation, s.W.Size, nearest, out int atW))
                        best = Math.Max(best, x[start + ((atD * s.H.Size + atH) * s.W.Size + atW) * step] ^ flip);
                }
            }
        }
        return (byte)(best ^ flip);
    }

    private static bool Inside(int position, int size, bool nearest, out int read)
    {
        read = nearest ? Math.Clamp(position, 0, size - 1) : position;
        return (uint)read < (uint)size;
    }
}
