using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Passes;

/// <summary>Takes out what does nothing: Identity, Dropout (at inference), Cast to the type that a value has, a product with 1, a sum with 0. One
/// that makes an output of the graph stays, as that name has to exist.</summary>
public sealed class RemoveIdentity : NodePass
{
    public override string Name => "RemoveIdentity";

    protected override bool Rewrite(PassContext context, NodeProto node)
    {
        GraphIndex graph = context.Graph;
        if (Unchanged(context, node) is not string value || graph.IsOutput(node.Output[0]) || graph.Consumers(node.Output[0]).Any(TakesInSubgraph))
            return false;
        foreach (NodeProto consumer in graph.Consumers(node.Output[0]))
        {
            for (int i = 0; i < consumer.Input.Count; i++)
            {
                if (consumer.Input[i] == node.Output[0])
                    consumer.Input[i] = value;
            }
        }
        context.Remove([node]);
        return true;

        bool TakesInSubgraph(NodeProto consumer) =>
            GraphIndex.InputsOf(consumer).Count(v => v == node.Output[0]) > consumer.Input.Count(v => v == node.Output[0]);
    }

    /// <summary>The input that the node's first output equals; null where it does something.</summary>
    private static string? Unchanged(PassContext context, NodeProto node)
    {
        if (node.Is("Identity") || (node.Is("Dropout") && IsInference(context.Graph, node)))
            return node.Input[0];
        if (node.Is("Cast"))
            return context.TypeOf(node.Input[0])?.ElementType is { } type && (long)type == node.GetInt("to", 0) ? node.Input[0] : null;
        if (context.Scaled(node) is (string factor, 1f))
            return factor;
        return (context.WithScalar(node, "Add") ?? context.WithScalar(node, "Sub")) is (string summand, 0f) ? summand : null;
    }

    private static bool IsInference(GraphIndex graph, NodeProto node)
    {
        bool inference = GraphIndex.Input(node, 2).Length == 0 || graph.ConstantInput(node, 2) is TensorProto training && training.ToLongs() is [0];
        bool maskUnused = node.Output.Count < 2 || node.Output[1].Length == 0
            || (graph.Consumers(node.Output[1]).Count == 0 && !graph.IsOutput(node.Output[1]));
        return inference && maskUnused;
    }
}
