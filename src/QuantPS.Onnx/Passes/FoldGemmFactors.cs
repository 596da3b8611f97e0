using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Passes;

/// <summary>Gemm's alpha goes into its constant matrix and beta into its constant summand: integers have neither, and the layer would stay float.</summary>
public sealed class FoldGemmFactors : NodePass
{
    public override string Name => "FoldGemmFactors";

    protected override bool Rewrite(PassContext context, NodeProto node)
    {
        if (!node.Is("Gemm"))
            return false;
        bool summand = GraphIndex.Input(node, 2).Length > 0;
        float alpha = node.GetFloat("alpha", 1f), beta = summand ? node.GetFloat("beta", 1f) : 1f;
        if ((alpha == 1f && beta == 1f) || !CanScale(context, node, 1, alpha) || !CanScale(context, node, 2, beta))
            return false;
        string[] old = [.. node.Input];
        Scale(context, node, 1, alpha);
        Scale(context, node, 2, beta);
        foreach (AttributeProto factor in node.Attribute.Where(a => a.Name is "alpha" or "beta").ToArray())
            node.Attribute.Remove(factor);
        context.RemoveUnused(old);
        return true;
    }

    private static bool CanScale(PassContext context, NodeProto node, int index, float factor) =>
        factor == 1f || context.Graph.ConstantInput(node, index)?.Type() == DataType.Float;

    private static void Scale(PassContext context, NodeProto node, int index, float factor)
    {
        if (factor == 1f)
            return;
        TensorProto constant = context.Graph.ConstantInput(node, index)!;
        // Others may use the constant as it is.
        node.Input[index] = context.Add(TensorProtos.Create(node.Input[index] + "_scaled", Array.ConvertAll(constant.ToFloats(), v => v * factor), constant.Shape()));
    }
}
