using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>Dimensions of size 1 left out. Which ones is an input since operator set 13, before that an attribute.</summary>
public sealed class Squeeze : DataMovement
{
    public override string OpType => "Squeeze";

    public override Int8Step? CreateStep(StepContext context)
    {
        NodeProto node = context.Context.Node;
        long[]? axes = context.Context.ConstantInput(1)?.ToLongs() ?? node.GetInts("axes")?.Select(a => (long)a).ToArray();
        if (axes is null && GraphIndex.Input(node, 1).Length > 0)
            return null;
        return (inputs, spent) =>
        {
            QuantizedTensor x = inputs[0];
            int[]? gone = axes?.Select(a => TensorShape.NormalizeAxis((int)a, x.Rank)).ToArray();
            return x.Reshape([.. x.Shape.Where((size, d) => gone is null ? size != 1 : !gone.Contains(d))]);
        };
    }
}
