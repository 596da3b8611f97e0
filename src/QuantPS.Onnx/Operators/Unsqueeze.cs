using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>Dimensions of size 1 put in. Which ones is an input since operator set 13, before that an attribute.</summary>
public sealed class Unsqueeze : ShapeChange
{
    public override string OpType => "Unsqueeze";

    public override Func<int[], int[]>? Shape(NodeContext context)
    {
        NodeProto node = context.Node;
        long[]? axes = context.ConstantInput(1)?.ToLongs() ?? node.GetInts("axes")?.Select(a => (long)a).ToArray();
        if (axes is null)
            return null;
        return x =>
        {
            int rank = x.Length + axes!.Length;
            int[] made = [.. axes.Select(a => TensorShape.NormalizeAxis((int)a, rank))];
            Queue<int> sizes = new(x);
            return [.. Enumerable.Range(0, rank).Select(d => made.Contains(d) ? 1 : sizes.Dequeue())];
        };
    }
}
