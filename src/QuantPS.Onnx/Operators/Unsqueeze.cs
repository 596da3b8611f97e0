using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>Dimensions of size 1 put in. Which ones is an input since operator set 13, before that an attribute.</summary>
public sealed class Unsqueeze : DataMovement
{
    public override string OpType => "Unsqueeze";

    public override Int8Step? CreateStep(StepContext context)
    {
        NodeProto node = context.Context.Node;
        long[]? axes = context.Context.ConstantInput(1)?.ToLongs() ?? node.GetInts("axes")?.Select(a => (long)a).ToArray();
        if (axes is null)
            return null;
        return (inputs, spent) =>
        {
            QuantizedTensor x = inputs[0];
            int rank = x.Rank + axes!.Length;
            int[] made = [.. axes.Select(a => TensorShape.NormalizeAxis((int)a, rank))];
            Queue<int> sizes = new(x.Shape);
            return x.Reshape([.. Enumerable.Range(0, rank).Select(d => made.Contains(d) ? 1 : sizes.Dequeue())]);
        };
    }
}
