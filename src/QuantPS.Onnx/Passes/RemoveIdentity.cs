using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Passes;

/// <summary>Takes out Identity nodes, and Dropout, which does nothing at inference. One that makes an output of the graph stays, as that
/// name has to exist.</summary>
public sealed class RemoveIdentity : GraphPass
{
    public override string Name => "RemoveIdentity";

    public override int Apply(OnnxModel model)
    {
        int removed = 0;
        foreach (NodeProto node in model.Graph.Nodes)
        {
            GraphIndex graph = model.Graph;
            if (!IsIdentity(graph, node) || graph.IsOutput(node.Output[0]) || graph.Consumers(node.Output[0]).Any(TakesInSubgraph))
                continue;
            foreach (NodeProto consumer in graph.Consumers(node.Output[0]))
            {
                for (int i = 0; i < consumer.Input.Count; i++)
                {
                    if (consumer.Input[i] == node.Output[0])
                        consumer.Input[i] = node.Input[0];
                }
            }
            model.Proto.Graph.Node.Remove(node);
            model.Invalidate();
            removed++;

            bool TakesInSubgraph(NodeProto consumer) =>
                GraphIndex.InputsOf(consumer).Count(v => v == node.Output[0]) > consumer.Input.Count(v => v == node.Output[0]);
        }
        return removed;
    }

    private static bool IsIdentity(GraphIndex graph, NodeProto node)
    {
        if (node.Is("Identity"))
            return true;
        if (!node.Is("Dropout"))
            return false;
        bool inference = GraphIndex.Input(node, 2).Length == 0 || graph.ConstantInput(node, 2) is TensorProto training && training.ToLongs() is [0];
        bool maskUnused = node.Output.Count < 2 || node.Output[1].Length == 0
            || (graph.Consumers(node.Output[1]).Count == 0 && !graph.IsOutput(node.Output[1]));
        return inference && maskUnused;
    }
}
