using QuantPS.Engine.Layers;

namespace QuantPS.Engine.Kernels;

/// <summary>Where pooling windows lie: depth, height, width, of which missing ones have size 1.</summary>
public readonly record struct PoolShape(PoolAxis D, PoolAxis H, PoolAxis W)
{
    /// <summary>Pixels of an input image.</summary>
    public int InCount => D.Size * H.Size * W.Size;

    /// <summary>Pixels of an output image.</summary>
    public int OutCount => D.Out * H.Out * W.Out;

    /// <summary>Rows of an output image.</summary>
    public int OutRows => D.Out * H.Out;

    /// <summary>Windows of a geometry on an input.</summary>
    /// <exception cref="Errors.QuantException">ShapeMismatch: the window does not fit.</exception>
    public static PoolShape Of(PoolGeometry geometry, ReadOnlySpan<int> inputSpatial) =>
        Of(inputSpatial, geometry.OutputSize(inputSpatial), geometry.Kernel, geometry.Stride, geometry.Padding, geometry.PaddingEnd, geometry.Dilation);

    /// <summary>Windows of given numbers, one a spatial dimension.</summary>
    /// <param name="input">Sizes of the input.</param>
    /// <param name="output">Sizes of the output.</param>
    /// <param name="kernel">Sizes of the window.</param>
    /// <param name="stride">From window to window.</param>
    /// <param name="padding">In front of the input.</param>
    /// <param name="paddingEnd">Behind it.</param>
    /// <param name="dilation">From tap to tap.</param>
    public static PoolShape Of(ReadOnlySpan<int> input, ReadOnlySpan<int> output, ReadOnlySpan<int> kernel, ReadOnlySpan<int> stride, ReadOnlySpan<int> padding, ReadOnlySpan<int> paddingEnd, ReadOnlySpan<int> dilation)
    {
        Span<PoolAxis> axes = [PoolAxis.None, PoolAxis.None, PoolAxis.None];
        for (int d = 1; d <= input.Length; d++)
            axes[^d] = new PoolAxis(input[^d], output[^d], kernel[^d], stride[^d], padding[^d], paddingEnd[^d], dilation[^d]);
        return new PoolShape(axes[0], axes[1], axes[2]);
    }

    /// <summary>Windows that share an input out to an output of a given size, overlapping where that does not divide evenly.</summary>
    public static PoolShape Adaptive(ReadOnlySpan<int> input, ReadOnlySpan<int> output)
    {
        Span<PoolAxis> axes = [PoolAxis.None, PoolAxis.None, PoolAxis.None];
        for (int d = 1; d <= input.Length; d++)
            axes[^d] = new PoolAxis(input[^d], output[^d], 0, 0, 0, 0, 1);
        return new PoolShape(axes[0], axes[1], axes[2]);
    }
}

/// <summary>One dimension of a <see cref="PoolShape"/>.</summary>
/// <param name="Size">Of the input.</param>
/// <param name="Out">Of the output.</param>
/// <param name="Kernel">Taps of a window; 0 for adaptive windows.</param>
/// <param name="Stride">From window to window.</param>
/// <param name="Pad">In front of the input.</param>
/// <param name="PadEnd">Behind it.</param>
/// <param name="Dilation">From tap to tap.</param>
public readonly record struct PoolAxis(int Size, int Out, int Kernel, int Stride, int Pad, int PadEnd, int Dilation)
{
    /// <summary>A dimension that is not there.</summary>
    public static PoolAxis None => new(1, 1, 1, 1, 0, 0, 1);

    /// <summary>A window's first tap inside the input, how many there are, and how many with padding (as far as that reaches behind the input).</summary>
    public (int First, int Count, int Whole) Window(int index)
    {
        if (Kernel == 0)
        {
            // In float32, as PyTorch computes it.
            int first = (int)MathF.Floor((float)(index * Size) / Out), end = (int)MathF.Ceiling((float)((index + 1) * Size) / Out);
            return (first, end - first, end - first);
        }
        int start = index * Stride - Pad, skipped = start < 0 ? (-start + Dilation - 1) / Dilation : 0;
        int last = start < Size ? Math.Min(Kernel, (Size - start + Dilation - 1) / Dilation) : 0;
        return (start + skipped * Dilation, Math.Max(0, last - skipped), Math.Min(start + Kernel, Size + PadEnd) - start);
    }

    /// <summary>The windows [first, end) whose taps are all inside the input; none for adaptive ones.</summary>
    internal (int First, int End) Inside()
    {
        if (Kernel == 0)
            return (0, 0);
        int first = (Pad + Stride - 1) / Stride, room = Size + Pad - (Kernel - 1) * Dilation - 1;
        int end = room < 0 ? 0 : Math.Min(Out, room / Stride + 1);
        return first < end ? (first, end) : (0, 0);
    }
}
