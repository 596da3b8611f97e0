using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>Where a convolution's window goes. One number per spatial dimension: [length] in 1-D, [H, W] in 2-D, [D, H, W] in 3-D.</summary>
public sealed record ConvGeometry
{
    private const int MostSpatialDims = 3;

    /// <exception cref="QuantException">InvalidArgument: lengths differ, or a number is outside its range.</exception>
    public ConvGeometry(int[] kernel, int[]? stride = null, int[]? padBegin = null, int[]? padEnd = null, int[]? dilation = null, int groups = 1)
    {
        int rank = kernel.Length;
        if (rank is 0 or > MostSpatialDims)
            throw new QuantException(ErrorIds.InvalidArgument, $"A convolution has 1 to {MostSpatialDims} spatial dimensions, not {rank}.");
        Kernel = Check(kernel, "kernel", 1);
        Stride = Check(stride ?? Filled(1), "stride", 1);
        PadBegin = Check(padBegin ?? Filled(0), "padding", 0);
        PadEnd = Check(padEnd ?? PadBegin, "padding", 0);
        Dilation = Check(dilation ?? Filled(1), "dilation", 1);
        Groups = groups >= 1 ? groups : throw new QuantException(ErrorIds.InvalidArgument, $"groups is {groups}; it must be 1 or more.");

        int[] Filled(int value) => Enumerable.Repeat(value, rank).ToArray();

        int[] Check(int[] values, string what, int least)
        {
            if (values.Length == 1 && rank > 1)
                values = Enumerable.Repeat(values[0], rank).ToArray();
            if (values.Length != rank || values.Any(v => v < least))
                throw new QuantException(ErrorIds.InvalidArgument, $"{what} [{TensorShape.Format(values)}] must be {rank} numbers of at least {least}, as the kernel [{TensorShape.Format(kernel)}] has {rank} dimensions.");
            return values;
        }
    }

    public int[] Kernel { get; }

    public int[] Stride { get; }

    /// <summary>Rows, columns added before the first. They hold the input's zero point, so they add nothing.</summary>
    public int[] PadBegin { get; }

    /// <summary>Added behind the last.</summary>
    public int[] PadEnd { get; }

    /// <summary>Distance between neighbouring taps; 1 is dense.</summary>
    public int[] Dilation { get; }

    public int Groups { get; }

    /// <summary>PyTorch's padding_mode='reflect' (1-D and 2-D): the border is filled with the image mirrored at its edge, not with the zero point.</summary>
    public bool Reflect { get; init; }

    public int SpatialRank => Kernel.Length;

    /// <summary>True for 1x1, stride 1, no padding: a matrix product per pixel.</summary>
    public bool IsPointwise => Array.TrueForAll(Kernel, k => k == 1) && Array.TrueForAll(Stride, s => s == 1) && Array.TrueForAll(PadBegin, p => p == 0) && Array.TrueForAll(PadEnd, p => p == 0);

    /// <summary>Spatial size of the output: floor((in + pads - dilation * (kernel - 1) - 1) / stride) + 1.</summary>
    /// <exception cref="QuantException">ShapeMismatch: the window does not fit into the padded input.</exception>
    public int[] OutputSize(ReadOnlySpan<int> inputSpatial)
    {
        var output = new int[SpatialRank];
        OutputSize(inputSpatial, output);
        return output;
    }

    /// <inheritdoc cref="OutputSize(ReadOnlySpan{int})"/>
    internal void OutputSize(ReadOnlySpan<int> inputSpatial, Span<int> output)
    {
        for (int d = 0; d < SpatialRank; d++)
        {
            int room = inputSpatial[d] + PadBegin[d] + PadEnd[d] - Dilation[d] * (Kernel[d] - 1) - 1;
            if (room < 0)
                throw new QuantException(ErrorIds.ShapeMismatch, $"The window [{TensorShape.Format(Kernel)}] (dilation [{TensorShape.Format(Dilation)}]) does not fit into the input [{TensorShape.Format(inputSpatial)}] with padding [{TensorShape.Format(PadBegin)}].");
            output[d] = room / Stride[d] + 1;
        }
    }

    public override string ToString()
    {
        string Times(int[] v) => string.Join("x", v);
        return Times(Kernel)
            + (Array.TrueForAll(Stride, s => s == 1) ? "" : $" stride {Times(Stride)}")
            + (Array.TrueForAll(PadBegin, p => p == 0) && Array.TrueForAll(PadEnd, p => p == 0) ? "" : $" pad {Times(PadBegin)}")
            + (Array.TrueForAll(Dilation, d => d == 1) ? "" : $" dilation {Times(Dilation)}")
            + (Groups == 1 ? "" : $" groups {Groups}");
    }
}
