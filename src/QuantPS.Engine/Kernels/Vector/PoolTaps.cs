using System.Runtime.CompilerServices;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>Byte offsets of a window's taps on channels-last activations, from its first one. Windows with as many taps along each dimension have the same.</summary>
internal ref struct PoolTaps(PoolShape shape, int channels, Span<int> offsets)
{
    /// <summary>More than this go to the reference.</summary>
    public const int Limit = 8192;

    private readonly Span<int> offsets = offsets;
    private (int D, int H, int W) built;

    /// <summary>Taps that a window can have at most.</summary>
    public static int Most(PoolShape s) => Math.Max(1, Most(s.D) * Most(s.H) * Most(s.W));

    /// <summary>The offsets of a window with so many taps.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public ReadOnlySpan<int> Of(int nD, int nH, int nW)
    {
        int count = nD * nH * nW;
        if (built != (nD, nH, nW))
        {
            built = (nD, nH, nW);
            int at = 0;
            for (int d = 0; d < nD; d++)
                for (int h = 0; h < nH; h++)
                    for (int w = 0; w < nW; w++)
                        offsets[at++] = ((d * shape.D.Dilation * shape.H.Size + h * shape.H.Dilation) * shape.W.Size + w * shape.W.Dilation) * channels;
        }
        return offsets[..count];
    }

    // Adaptive windows overlap by less than a pixel at each end.
    private static int Most(PoolAxis a) => a.Kernel > 0 ? Math.Min(a.Kernel, a.Size) : Math.Min(a.Size, a.Size / Math.Max(1, a.Out) + 2);
}
