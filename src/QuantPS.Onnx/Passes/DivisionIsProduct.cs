using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Passes;

/// <summary>x / c for a power of two c is x * (1 / c), bit for bit. Attention divides its scores by the root of the size of a head, 8 in most models; products
/// have an int8 form, quotients have none.</summary>
public sealed class DivisionIsProduct : NodePass
{
    public override string Name => "DivisionIsProduct";

    protected override bool Rewrite(PassContext context, NodeProto node)
    {
        if (context.WithScalar(node, "Div") is not var (value, divisor) || !float.IsPow2(MathF.Abs(divisor)) || !float.IsNormal(1f / divisor)
            || context.Graph.Constant(node.Input[1])?.Type() != DataType.Float)
            return false;
        string factor = context.Add(TensorProtos.Create(node.Input[1] + "_reciprocal", [1f / divisor], context.Graph.Constant(node.Input[1])!.Shape()));
        context.Replace([node], Nodes.Create("Mul", node.Name, [value, factor], [node.Output[0]]));
        return true;
    }
}
