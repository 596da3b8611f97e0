using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>Where a pooling window goes. One number per spatial dimension, as in <see cref="ConvGeometry"/>; a single number stands for all.</summary>
public sealed record PoolGeometry
{
    /// <param name="kernel">Size of the window.</param>
    /// <param name="stride">Null for the kernel: windows that touch.</param>
    /// <param name="padding">On both sides, at most half the kernel.</param>
    /// <param name="dilation">Distance of neighbouring taps; max pooling only.</param>
    /// <param name="ceilMode">A last window that hangs over the end counts too, if it starts inside the input or its left padding.</param>
    /// <param name="paddingEnd">Behind the input, as ONNX has it: any size below the window's, as in front then too. Null for PyTorch's: on both sides the same.</param>
    /// <exception cref="QuantException">InvalidArgument.</exception>
    public PoolGeometry(int[] kernel, int[]? stride = null, int[]? padding = null, int[]? dilation = null, bool ceilMode = false, int[]? paddingEnd = null)
    {
        window = new ConvGeometry(kernel, stride ?? kernel, padding, paddingEnd, dilation);
        for (int d = 0; d < kernel.Length; d++)
        {
            if (paddingEnd is not null && Math.Max(Padding[d], PaddingEnd[d]) > Dilation[d] * (kernel[d] - 1))
                throw new QuantException(ErrorIds.InvalidArgument, $"The padding [{TensorShape.Format(Padding)}], [{TensorShape.Format(PaddingEnd)}] leaves windows [{TensorShape.Format(kernel)}] without a pixel.");
            if (paddingEnd is null && Padding[d] > kernel[d] / 2)
                throw new QuantException(ErrorIds.InvalidArgument, $"The padding [{TensorShape.Format(Padding)}] must be at most half the window [{TensorShape.Format(kernel)}].");
        }
        CeilMode = ceilMode;
    }

    private readonly ConvGeometry window;

    public int[] Kernel => window.Kernel;

    public int[] Stride => window.Stride;

    public int[] Padding => window.PadBegin;

    public int[] PaddingEnd => window.PadEnd;

    public int[] Dilation => window.Dilation;

    public bool CeilMode { get; }

    public int SpatialRank => Kernel.Length;

    /// <summary>Spatial size of the output.</summary>
    /// <remarks>Source: aten/src/ATen/native/Pool.h pooling_output_shape_pad_lr.</remarks>
    /// <exception cref="QuantException">ShapeMismatch: the window does not fit.</exception>
    public int[] OutputSize(ReadOnlySpan<int> inputSpatial)
    {
        var output = new int[SpatialRank];
        for (int d = 0; d < output.Length; d++)
        {
            int room = inputSpatial[d] + Padding[d] + PaddingEnd[d] - Dilation[d] * (Kernel[d] - 1) - 1 + (CeilMode ? Stride[d] - 1 : 0);
            output[d] = room < 0 ? 0 : room / Stride[d] + 1;
            if (CeilMode && (output[d] - 1) * Stride[d] >= inputSpatial[d] + Padding[d])
                output[d]--;
            if (output[d] < 1)
                throw new QuantException(ErrorIds.ShapeMismatch, $"The window [{TensorShape.Format(Kernel)}] (dilation [{TensorShape.Format(Dilation)}]) does not fit into the input [{TensorShape.Format(inputSpatial)}] with padding [{TensorShape.Format(Padding)}].");
        }
        return output;
    }

    public override string ToString() => $"{window}{(CeilMode ? " ceil" : "")}";
}
