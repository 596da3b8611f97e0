using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Passes;

/// <summary>Sum of several values is Add after Add, in the same order and so bit for bit; Sum of one is that one. Converters from Caffe2, MXNet and CNTK write
/// their residual connections so. Add has an int8 form and takes a Relu into itself.</summary>
public sealed class SumIsAddition : NodePass
{
    /// <summary>Before it Add had to be told to broadcast.</summary>
    private const int BroadcastOpset = 7;

    public override string Name => "SumIsAddition";

    protected override bool Rewrite(PassContext context, NodeProto node)
    {
        if (!node.Is("Sum") || context.Model.Opset < BroadcastOpset || node.Input.Count == 0)
            return false;
        string sum = node.Input[0];
        for (int i = 1; i < node.Input.Count - 1; i++)
        {
            string partial = context.FreeName($"{node.Output[0]}_of_{i + 1}");
            context.Model.Proto.Graph.Node.Insert(context.Model.Proto.Graph.Node.IndexOf(node),
                Nodes.Create("Add", $"{GraphIndex.DisplayName(node)}_{i}", [sum, node.Input[i]], [partial]));
            sum = partial;
        }
        context.Replace([node], node.Input.Count == 1 ? Nodes.Create("Identity", node.Name, [sum], node.Output)
            : Nodes.Create("Add", node.Name, [sum, node.Input[^1]], node.Output));
        return true;
    }
}
