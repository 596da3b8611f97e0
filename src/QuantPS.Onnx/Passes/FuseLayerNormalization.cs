using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Passes;

/// <summary>Recognizes layer normalization, (x - mean) / sqrt(mean((x - mean)^2) + epsilon) * scale + bias, over the last dimensions.</summary>
/// <remarks>LayerNormalization came with opset 17. The difference may be computed twice, the square be Pow or Mul, the bias be missing. Source of
/// the forms: onnxruntime/python/tools/quantization/fusions/fusion_layernorm.py.</remarks>
public sealed class FuseLayerNormalization : NodePass
{
    private const int Since = 17;

    public override string Name => "FuseLayerNormalization";

    protected override bool Rewrite(PassContext context, NodeProto node)
    {
        GraphIndex graph = context.Graph;
        List<NodeProto> nodes = [];
        if (Center(context, node, nodes) is not var (x, axes, epsilon) || graph.OnlyConsumer(node.Output[0]) is not NodeProto mul || !mul.Is("Mul"))
            return false;
        string scale = PassContext.Other(mul, node.Output[0])!;
        if (!Fits(scale))
            return false;
        NodeProto last = mul;
        string bias = "";
        if (graph.OnlyConsumer(mul.Output[0]) is NodeProto add && add.Is("Add") && Fits(PassContext.Other(add, mul.Output[0])!))
            (last, bias) = (add, PassContext.Other(add, mul.Output[0])!);
        if (!context.Allows(Since))
            return false;
        context.Replace([.. nodes, mul, .. ReferenceEquals(last, mul) ? Array.Empty<NodeProto>() : [last]],
            Nodes.Create("LayerNormalization", last.Name, bias.Length > 0 ? [x, scale, bias] : [x, scale], [last.Output[0]],
                Nodes.Attribute("axis", (long)-axes), Nodes.Attribute("epsilon", epsilon)));
        return true;

        // One value for each element that is normalized together; a size that is not known may be 1 only if the constant's is not.
        bool Fits(string constant)
        {
            if (graph.Constant(constant) is not TensorProto t || !PassContext.IsReal(t.Type()) || t.Dims.Count != axes)
                return false;
            int[] shape = t.Shape(), known = context.TypeOf(x)?.Dims ?? [];
            return Enumerable.Range(1, axes).All(i => i <= known.Length && known[^i] >= 0 ? known[^i] == shape[^i] : shape[^i] > 1);
        }
    }

    /// <summary>(x - mean) / sqrt(variance + epsilon), which ends in a division.</summary>
    private static (string X, int Axes, float Epsilon)? Center(PassContext context, NodeProto div, List<NodeProto> nodes)
    {
        GraphIndex graph = context.Graph;
        if (!div.Is("Div") || graph.Producer(div.Input[0]) is not NodeProto difference || !difference.Is("Sub")
            || context.OnlyFor(div, div.Input[1], "Sqrt") is not NodeProto sqrt || context.OnlyFor(sqrt, sqrt.Input[0], "Add") is not NodeProto add
            || context.WithScalar(add, "Add") is not var (variance, epsilon) || epsilon <= 0
            || context.OnlyFor(add, variance, "ReduceMean") is not NodeProto meanOfSquares
            || graph.Producer(meanOfSquares.Input[0]) is not NodeProto square || !ReferenceEquals(graph.OnlyConsumer(square.Output[0]), meanOfSquares)
            || Squared(context, square) is not string squared || graph.Producer(squared) is not NodeProto again || !again.Is("Sub")
            || !again.Input.SequenceEqual(difference.Input))
            return null;
        string x = difference.Input[0];
        if (graph.Producer(difference.Input[1]) is not NodeProto mean || !mean.Is("ReduceMean") || mean.Input[0] != x
            || Axes(context, mean) is not int axes || Axes(context, meanOfSquares) != axes)
            return null;
        nodes.AddRange([div, sqrt, add, meanOfSquares, square, difference, mean]);
        if (!ReferenceEquals(again, difference))
            nodes.Add(again);
        // What is inside must be wanted nowhere else.
        bool inner = ((string[])[difference.Output[0], again.Output[0], mean.Output[0]]).All(v =>
            !graph.IsOutput(v) && graph.Consumers(v).All(c => nodes.Contains(c, ReferenceEqualityComparer.Instance)));
        return inner ? (x, axes, epsilon) : null;
    }

    private static string? Squared(PassContext context, NodeProto node) =>
        context.WithScalar(node, "Pow") is (string value, 2f) ? value : node.Is("Mul") && node.Input[0] == node.Input[1] ? node.Input[0] : null;

    /// <summary>How many of the last dimensions a ReduceMean takes together, keeping them; null for any others.</summary>
    private static int? Axes(PassContext context, NodeProto node)
    {
        int[]? axes = node.GetInts("axes") ?? (context.Graph.ConstantInput(node, 1) is TensorProto t ? [.. t.ToLongs().Select(a => (int)a)] : null);
        if (axes is not { Length: > 0 } || node.GetInt("keepdims", 1) == 0)
            return null;
        int? rank = context.RankOf(node.Input[0]);
        int[] fromEnd = [.. axes.Select(a => a < 0 ? a : rank is int r ? a - r : 0).Order()];
        return fromEnd.Select((a, i) => a == i - axes.Length).All(fits => fits) ? axes.Length : null;
    }
}
