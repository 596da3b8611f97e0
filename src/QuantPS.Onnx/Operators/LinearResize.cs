using QuantPS.Engine.Errors;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model;

namespace QuantPS.Onnx.Operators;

/// <summary>Images in another height and width by linear interpolation, which stays inside the input's range and shares its parameters.</summary>
/// <remarks>It computes, so it is no data movement. On integers alone ONNX Runtime cuts the fraction off what it interpolates: files keep the float operator.</remarks>
public sealed class LinearResize : QuantOperator
{
    public override string OpType => "Resize";

    public override bool SharesInputQParams(NodeContext context) => true;

    public override string? WhyFloat(NodeContext context) => context.Node.GetString("mode", "nearest") == "linear" ? null : "it does not interpolate linearly";

    /// <summary>Of [N, C, H, W], height and width; the rest is left to ONNX Runtime.</summary>
    public override Int8Step? CreateStep(StepContext context)
    {
        int[] input = context.Context.Types[context.Context.Node.Input[0]] is { Rank: 4 } type ? [.. type.Dims] : [];
        if (ResizeCoordinates.Of(context.Context) is not { Rank: 4 } coordinates || input.Length != 4 || !coordinates.Keeps(1, input[1]))
            return null;
        QuantizedLinearResize resize = new(context.Output, (height, width) => Axes(coordinates, height, width), context.OnnxRule);
        return (inputs, spent) => coordinates.Keeps(0, inputs[0].Dims[0]) ? resize.Run(inputs[0])
            : throw new QuantException(ErrorIds.ShapeMismatch, $"Resize '{context.Context.Name}' interpolates [{TensorShape.Format(inputs[0].Dims)}] along height and width only.", inputs[0]);
    }

    /// <summary>Source: onnxruntime core/providers/cpu/tensor/upsample.cc: what keeps both sizes is a copy, and a scale of 1 no transformation.</summary>
    private static (LinearResizeAxis, LinearResizeAxis) Axes(ResizeCoordinates coordinates, int height, int width)
    {
        bool copy = coordinates.Wanted(2, height) == height && coordinates.Wanted(3, width) == width;
        return (Axis(2, height), Axis(3, width));

        LinearResizeAxis Axis(int dimension, int size) => copy || coordinates.Scale(dimension, size) == 1f
            ? new(size, [.. Enumerable.Range(0, size).Select(i => (float)i)]) : new(size, coordinates.Originals(dimension, size));
    }
}
