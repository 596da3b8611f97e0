using System.Runtime.CompilerServices;

namespace QuantPS.Engine.Kernels.Reference;

/// <summary>The oracle for picking channels: byte by byte.</summary>
internal static class ReferenceChannelPick
{
    /// <param name="x">[pixels, channels].</param>
    /// <param name="y">Receives [pixels, picked].</param>
    /// <param name="channels">Of a pixel.</param>
    /// <param name="picked">Of each channel of the result the channel that it is.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(ReadOnlySpan<byte> x, Span<byte> y, int channels, int[] picked)
    {
        for (int from = 0, to = 0; to < y.Length; from += channels, to += picked.Length)
            for (int c = 0; c < picked.Length; c++)
                y[to + c] = x[from + picked[c]];
    }
}
