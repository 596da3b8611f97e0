using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Passes;

/// <summary>Makes the addition of a constant, one for all or one per channel, the bias of the layer before it; a MatMul becomes a Gemm for it where
/// it multiplies plain matrices.</summary>
/// <remarks>Source: onnxruntime/core/optimizer/conv_add_fusion.cc, matmul_add_fusion.cc.</remarks>
public sealed class FoldBias : NodePass
{
    public override string Name => "FoldBias";

    protected override bool Rewrite(PassContext context, NodeProto node)
    {
        bool subtracts = node.Is("Sub");
        if (!subtracts && !node.Is("Add"))
            return false;
        for (int i = 0; i < (subtracts ? 1 : 2); i++)
        {
            string value = node.Input[i];
            if (context.Graph.Producer(value) is not NodeProto producer || !ReferenceEquals(context.Graph.OnlyConsumer(value), node)
                || LayerWeights.Open(context, producer) is not { TakesBias: true } layer
                || layer.PerChannel(node.Input[1 - i], layer.Outputs) is not float[] summand)
                continue;
            layer.Bias = [.. summand.Select((v, c) => (layer.Bias?[c] ?? 0) + (subtracts ? -v : v))];
            producer.Output[0] = node.Output[0];
            context.Remove([node]);
            layer.Save("biased");
            return true;
        }
        return false;
    }
}
