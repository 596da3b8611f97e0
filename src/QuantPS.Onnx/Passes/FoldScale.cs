using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Passes;

/// <summary>Folds a multiplication or division by a constant, one for all or one per channel, into the layer before it.</summary>
/// <remarks>w' = w * c, b' = b * c. Source: onnxruntime/core/optimizer/conv_mul_fusion.cc, which only knows Conv.</remarks>
public sealed class FoldScale : NodePass
{
    public override string Name => "FoldScale";

    protected override bool Rewrite(PassContext context, NodeProto node)
    {
        bool divides = node.Is("Div");
        if (!divides && !node.Is("Mul"))
            return false;
        for (int i = 0; i < (divides ? 1 : 2); i++)
        {
            string value = node.Input[i];
            if (context.Graph.Producer(value) is not NodeProto producer || !ReferenceEquals(context.Graph.OnlyConsumer(value), node)
                || LayerWeights.Open(context, producer) is not LayerWeights layer || layer.PerChannel(node.Input[1 - i], layer.Outputs) is not float[] factor
                || (divides && factor.Contains(0)))
                continue;
            for (int k = 0; k < layer.Weight.Length; k++)
                layer.Weight.Span[k] = Times(layer.Weight.Span[k], layer.OutputOf(k));
            layer.Bias = layer.Bias?.Select(Times).ToArray();
            producer.Output[0] = node.Output[0];
            context.Remove([node]);
            layer.Save("scaled");
            return true;

            float Times(float v, int channel) => divides ? v / factor[channel] : v * factor[channel];
        }
        return false;
    }
}
