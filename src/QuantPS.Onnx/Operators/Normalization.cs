using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>A normalization with a factor and an offset: 8-bit activations on both sides, the factor like a weight, the offset like a
/// bias.</summary>
/// <remarks>Source: onnxruntime/python/tools/quantization/operators/norm.py. It has no integer form
/// of its own in a file.</remarks>
public abstract class Normalization : QuantOperator
{
    public override IReadOnlyList<WeightInput> WeightInputs(NodeContext context) => [new(1, null), new(2, null, IsBias: true)];

    public override string? WhyFloat(NodeContext context)
    {
        if (context.Node.Output.Skip(1).Any(o => o.Length > 0))
            return "it also gives mean or deviation";
        if (context.ConstantInput(1) is not { } scale || scale.Type() != TensorProto.Types.DataType.Float)
            return "its scale is not a float32 constant";
        return GraphIndex.Input(context.Node, 2).Length > 0 && context.ConstantInput(2)?.Type() != TensorProto.Types.DataType.Float
            ? "its bias is not a float32 constant" : null;
    }
}
