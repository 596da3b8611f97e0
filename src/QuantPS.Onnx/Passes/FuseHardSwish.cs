using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Passes;

/// <summary>Recognizes HardSwish, x * min(max(x + 3, 0), 6) / 6, with the division anywhere in it, or as x * HardSigmoid(x).</summary>
/// <remarks>Source of the forms: torch/onnx/symbolic_opset9.py hardswish; Paddle2ONNX hard_swish.cc (Add, Clip, Mul, Div). HardSwish came with
/// opset 14.</remarks>
public sealed class FuseHardSwish : NodePass
{
    private const int Since = 14;
    private const float Sixth = 1f / 6;

    public override string Name => "FuseHardSwish";

    protected override bool Rewrite(PassContext context, NodeProto node)
    {
        List<NodeProto> nodes = [node];
        if (Match(context, node, nodes) is not string x || !context.Allows(Since))
            return false;
        context.Replace(nodes, Nodes.Create("HardSwish", node.Name, [x], [node.Output[0]]));
        return true;
    }

    private static string? Match(PassContext context, NodeProto node, List<NodeProto> nodes)
    {
        // x * HardSigmoid(x), which is also what FuseHardSigmoid leaves of x * (min(max(x + 3, 0), 6) / 6).
        foreach (string gate in node.Is("Mul") ? node.Input : [])
        {
            if (context.OnlyFor(node, gate, "HardSigmoid") is NodeProto sigmoid && PassContext.Other(node, gate) == sigmoid.Input[0]
                && PassContext.Near(sigmoid.GetFloat("alpha", 0.2f), Sixth) && PassContext.Near(sigmoid.GetFloat("beta", 0.5f), 0.5f))
            {
                nodes.Add(sigmoid);
                return sigmoid.Input[0];
            }
        }
        // (x * min(max(x + 3, 0), 6)) / 6.
        if (context.Scaled(node) is var (product, factor))
        {
            return PassContext.Near(factor, Sixth) && context.OnlyFor(node, product, "Mul") is NodeProto mul
                && Limited(context, mul, nodes) is var (x, other) && x == other ? With(mul, x) : null;
        }
        // (x / 6) * min(max(x + 3, 0), 6).
        if (Limited(context, node, nodes) is var (value, part) && context.Graph.Producer(part) is NodeProto division
            && ReferenceEquals(context.Graph.OnlyConsumer(part), node) && context.Scaled(division) is var (whole, sixth)
            && whole == value && PassContext.Near(sixth, Sixth))
            return With(division, value);
        return null;

        string With(NodeProto more, string x)
        {
            nodes.Add(more);
            return x;
        }
    }

    /// <summary>Of a product with min(max(x + 3, 0), 6): x, and the other operand.</summary>
    private static (string X, string Other)? Limited(PassContext context, NodeProto product, List<NodeProto> nodes)
    {
        foreach (string gate in product.Is("Mul") ? product.Input : [])
        {
            if (context.Limited(product, gate) is var (sum, range, limits) && range is { Low: 0, High: 6 }
                && context.OnlyFor(limits[^1], sum, "Add") is NodeProto add && context.WithScalar(add, "Add") is (string x, 3f)
                && PassContext.Other(product, gate) is string other)
            {
                nodes.AddRange([.. limits, add]);
                return (x, other);
            }
        }
        return null;
    }
}
