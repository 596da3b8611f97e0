using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Passes;

/// <summary>ReduceMean over all spatial dimensions of [N, C, H, W] or [N, C, D, H, W], as PyTorch's exporter writes x.mean((2, 3)) and as squeeze-and-excitation has it,
/// is GlobalAveragePool, which has an operator on integers; without the dimensions that are 1 then, Flatten behind it.</summary>
/// <remarks>The mean of the last dimension alone is left: that is a normalization's.</remarks>
public sealed class MeanIsPool : NodePass
{
    /// <summary>Since here the dimensions are an input.</summary>
    private const int AxesAreAnInput = 18;

    public override string Name => "MeanIsPool";

    protected override bool Rewrite(PassContext context, NodeProto node)
    {
        if (!node.Is("ReduceMean") || context.TypeOf(node.Input[0])?.ElementType != TensorProto.Types.DataType.Float || context.RankOf(node.Input[0]) is not int rank
            || rank is < 4 or > 5 || Axes(context, node) is not { Length: > 0 } axes
            || !axes.Select(a => a < 0 ? a + rank : a).Order().SequenceEqual(Enumerable.Range(2, rank - 2)))
            return false;
        if (node.GetInt("keepdims", 1) != 0)
        {
            context.Replace([node], Nodes.Create("GlobalAveragePool", node.Name, [node.Input[0]], node.Output));
            return true;
        }
        string pooled = context.FreeName(node.Output[0] + "_pooled");
        int at = context.Model.Proto.Graph.Node.IndexOf(node);
        context.Model.Proto.Graph.Node.Insert(at, Nodes.Create("GlobalAveragePool", node.Name, [node.Input[0]], [pooled]));
        context.Replace([node], Nodes.Create("Flatten", GraphIndex.DisplayName(node) + "_Flatten", [pooled], node.Output));
        return true;
    }

    private static int[]? Axes(PassContext context, NodeProto node) => context.Model.Opset < AxesAreAnInput ? node.GetInts("axes")
        : context.Graph.ConstantInput(node, 1) is TensorProto axes ? [.. axes.ToLongs().Select(a => (int)a)] : null;
}
