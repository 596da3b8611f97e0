using QuantPS.Engine.Layers;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>x where x is not negative, slope * x elsewhere, with one slope for all or one per channel: a table each. The slope stays float32.</summary>
/// <remarks>Source: onnx docs/Operators.md PRelu; at 0 as onnxruntime/core/providers/cpu/math/element_wise_ops.cc PRelu. A file has no such operator on
/// integers, and quantize_static leaves it in float.</remarks>
public sealed class PRelu : QuantOperator
{
    public override string OpType => "PRelu";

    public override string? WhyFloat(NodeContext context) =>
        context.ConstantInput(1) is not TensorProto slope ? "its slope is computed, not a constant"
        : slope.Type() != TensorProto.Types.DataType.Float ? $"its slope is {slope.Type()}, not float32"
        : context.Types[context.Node.Input[0]] is not { Rank: > 0 } x ? "the rank of its input is unknown"
        : !IsPerChannel(slope, x.Rank) ? $"its slope of shape [{string.Join(", ", slope.Dims)}] is not one value per channel"
        : null;

    public override Int8Step? CreateStep(StepContext context)
    {
        float[] slopes = context.Context.ConstantInput(1)!.ToFloats();
        if (slopes is [float slope])
        {
            QuantizedTable table = new(context.Inputs[0], context.Output, x => x > 0 ? x : slope * x, context.OnnxRule);
            return (inputs, spent) => table.Run(inputs[0], inPlace: (spent & 1) != 0);
        }
        QuantizedChannelTable tables = new(context.Inputs[0], context.Output, slopes.Length, (c, x) => x > 0 ? x : slopes[c] * x, context.OnnxRule);
        return (inputs, spent) => tables.Run(inputs[0], inPlace: (spent & 1) != 0);
    }

    /// <summary>Whether a slope is one value, or varies along dimension 1 alone. It broadcasts to the input's shape and not the other way round, so that the
    /// sizes agree.</summary>
    private static bool IsPerChannel(TensorProto slope, int rank)
    {
        int axis = 1 - (rank - slope.Dims.Count);
        return slope.Dims.Count <= rank && (slope.Count() == 1 || (axis >= 0 && axis < slope.Dims.Count && slope.Dims[axis] == slope.Count()));
    }
}
