using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>Where a transposed convolution spreads its inputs. One number per spatial dimension, as in <see cref="ConvGeometry"/>; a single number stands for all.</summary>
public sealed record ConvTransposeGeometry
{
    private readonly ConvGeometry window;

    /// <param name="kernel">Size of the kernel.</param>
    /// <param name="stride">Distance between the outputs of neighbouring inputs.</param>
    /// <param name="padding">Rows, columns cut off the output before its first, and behind its last where nothing else is given.</param>
    /// <param name="outputPadding">Rows, columns added behind the last; less than stride or dilation.</param>
    /// <param name="dilation">Distance between neighbouring taps.</param>
    /// <param name="groups">Groups of channels.</param>
    /// <param name="paddingEnd">Rows, columns cut off behind the last; PyTorch has the same on both sides.</param>
    /// <exception cref="QuantException">InvalidArgument.</exception>
    public ConvTransposeGeometry(int[] kernel, int[]? stride = null, int[]? padding = null, int[]? outputPadding = null, int[]? dilation = null, int groups = 1, int[]? paddingEnd = null)
    {
        window = new ConvGeometry(kernel, stride, padding, paddingEnd, dilation, groups);
        outputPadding ??= [0];
        OutputPadding = outputPadding.Length == 1 ? [.. Enumerable.Repeat(outputPadding[0], kernel.Length)] : outputPadding;
        if (OutputPadding.Length != kernel.Length)
            throw new QuantException(ErrorIds.InvalidArgument, $"output padding [{TensorShape.Format(OutputPadding)}] must be {kernel.Length} numbers, as the kernel [{TensorShape.Format(kernel)}].");
        for (int d = 0; d < kernel.Length; d++)
        {
            if (OutputPadding[d] < 0 || OutputPadding[d] >= Math.Max(Stride[d], Dilation[d]))
                throw new QuantException(ErrorIds.InvalidArgument, $"output padding [{TensorShape.Format(OutputPadding)}] must be at least 0 and less than the stride [{TensorShape.Format(Stride)}] or the dilation [{TensorShape.Format(Dilation)}].");
        }
    }

    public int[] Kernel => window.Kernel;

    public int[] Stride => window.Stride;

    public int[] Padding => window.PadBegin;

    public int[] PaddingEnd => window.PadEnd;

    public int[] OutputPadding { get; }

    public int[] Dilation => window.Dilation;

    public int Groups => window.Groups;

    public int SpatialRank => Kernel.Length;

    /// <summary>Spatial size of the output: (in - 1) * stride - both paddings + dilation * (kernel - 1) + output padding + 1.</summary>
    /// <exception cref="QuantException">ShapeMismatch: nothing is left.</exception>
    public int[] OutputSize(ReadOnlySpan<int> inputSpatial)
    {
        var output = new int[SpatialRank];
        for (int d = 0; d < output.Length; d++)
        {
            output[d] = (inputSpatial[d] - 1) * Stride[d] - Padding[d] - PaddingEnd[d] + Dilation[d] * (Kernel[d] - 1) + OutputPadding[d] + 1;
            if (output[d] < 1)
                throw new QuantException(ErrorIds.ShapeMismatch, $"The padding [{TensorShape.Format(Padding)}] leaves nothing of the transposed convolution of an input [{TensorShape.Format(inputSpatial)}].");
        }
        return output;
    }

    public override string ToString() => $"{window}{(Array.TrueForAll(OutputPadding, p => p == 0) ? "" : $" output pad {string.Join("x", OutputPadding)}")}";
}
