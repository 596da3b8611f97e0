using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Operators;

namespace QuantPS.Onnx.Passes;

/// <summary>Recognizes HardSigmoid, max(0, min(1, alpha * x + beta)), in an addition, a limit, and a factor before or behind it.</summary>
/// <remarks>PyTorch's and PaddlePaddle's exporters write min(max(x + 3, 0), 6) / 6. Without a factor it is left alone: a bias and a limit are better
/// folded into the layer before.</remarks>
public sealed class FuseHardSigmoid : NodePass
{
    public override string Name => "FuseHardSigmoid";

    protected override bool Rewrite(PassContext context, NodeProto node)
    {
        List<NodeProto> nodes = [];
        float behind = 1;
        NodeProto last = node;
        string limited = node.Output[0];
        if (context.Scaled(node) is var (inner, factor))
        {
            nodes.Add(node);
            (limited, behind) = (inner, factor);
        }
        else if (context.Graph.OnlyConsumer(limited) is NodeProto next && context.Scaled(next) is not null)
        {
            // The factor behind decides.
            return false;
        }
        if (Limits(context, last, limited, nodes.Count > 0) is not var (sum, range, limits) || !PassContext.Near(range.High * behind, 1) || range.Low != 0)
            return false;
        nodes.AddRange(limits);
        if (context.OnlyFor(limits[^1], sum, "Add") is not NodeProto add || context.WithScalar(add, "Add") is not var (x, beta))
            return false;
        nodes.Add(add);
        float before = 1;
        if (context.Graph.Producer(x) is NodeProto scale && ReferenceEquals(context.Graph.OnlyConsumer(x), add) && context.Scaled(scale) is var (unscaled, alpha))
        {
            nodes.Add(scale);
            (x, before) = (unscaled, alpha);
        }
        if (before == 1 && behind == 1)
            return false;
        context.Replace(nodes, Nodes.Create("HardSigmoid", node.Name, [x], [node.Output[0]],
            Nodes.Attribute("alpha", before * behind), Nodes.Attribute("beta", beta * behind)));
        return true;
    }

    /// <summary>The limits before a factor, or those that end in the node itself.</summary>
    private static (string Value, ActivationRange Range, NodeProto[] Nodes)? Limits(PassContext context, NodeProto node, string value, bool isBefore)
    {
        if (isBefore)
            return context.Limited(node, value);
        // Only a Clip: with several limits the last one would have to be looked at first.
        return context.Graph.Producer(value) is NodeProto clip && clip.Is("Clip") && new Clip().RangeOf(context.Graph, clip) is ActivationRange range
            ? (clip.Input[0], range, [clip]) : null;
    }
}
