using System.Runtime.CompilerServices;

namespace QuantPS.Engine.Kernels.Reference;

/// <summary>The oracle for picking channels: byte by byte.</summary>
internal static class ReferenceChannelPick
{
    /// <param name="x">[pixels, channels].</param>
    /// <param name="other">[pixels, others].</param>
    /// <param name="y">Receives [pixels, picked].</param>
    /// <param name="channels">Of a pixel of the first tensor.</param>
    /// <param name="others">Of a pixel of the second one.</param>
    /// <param name="picked">Of each channel of the result the channel that it is, the second tensor's behind the first one's.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(ReadOnlySpan<byte> x, ReadOnlySpan<byte> other, Span<byte> y, int channels, int others, int[] picked)
    {
        for (int first = 0, second = 0, to = 0; to < y.Length; first += channels, second += others, to += picked.Length)
        {
            for (int c = 0; c < picked.Length; c++)
                y[to + c] = picked[c] < channels ? x[first + picked[c]] : other[second + picked[c] - channels];
        }
    }
}
