using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>Dimensions of size 1 left out. Which ones is an input since operator set 13, before that an attribute.</summary>
public sealed class Squeeze : ShapeChange
{
    public override string OpType => "Squeeze";

    public override Func<int[], int[]>? Shape(NodeContext context)
    {
        NodeProto node = context.Node;
        long[]? axes = context.ConstantInput(1)?.ToLongs() ?? node.GetInts("axes")?.Select(a => (long)a).ToArray();
        if (axes is null && GraphIndex.Input(node, 1).Length > 0)
            return null;
        return x =>
        {
            int[]? gone = axes?.Select(a => TensorShape.NormalizeAxis((int)a, x.Length)).ToArray();
            return [.. x.Where((size, d) => gone is null ? size != 1 : !gone.Contains(d))];
        };
    }
}
