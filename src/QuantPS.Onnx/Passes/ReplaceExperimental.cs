using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Passes;

/// <summary>ImageScaler, Affine and Crop, as converters from Core ML wrote them, by products, sums and slices: after operator set 9 they no longer exist, and
/// quantized models need a newer one.</summary>
/// <remarks>Source: onnx docs/Changelog.md, "experimental ONNX operators"; ONNX Runtime core/providers/cpu/tensor (crop.h, image_scaler.h, affine).</remarks>
public sealed class ReplaceExperimental : NodePass
{
    /// <summary>Since here operands broadcast as they do now.</summary>
    private const int BroadcastOpset = 7;

    public override string Name => "ReplaceExperimental";

    /// <summary>What ONNX Runtime does not know at a newer operator set has no type there, nor what comes behind it.</summary>
    public override bool TellsTypes => true;

    protected override bool Rewrite(PassContext context, NodeProto node)
    {
        if (context.Model.Opset is < BroadcastOpset or >= 10)
            return false;
        float[] bias = node.Attribute.FirstOrDefault(a => a.Name == "bias") is { } given ? [.. given.Floats] : [];
        if (node.Is("ImageScaler") && bias.Length > 0)
            return Scale(context, node, node.GetFloat("scale", 1f), bias, [1, bias.Length, 1, 1]);
        if (node.Is("Affine"))
            return Scale(context, node, node.GetFloat("alpha", 1f), [node.GetFloat("beta", 0f)], []);
        if (node.Is("Crop") && node.GetInts("border") is [int left, int top, int right, int bottom])
        {
            // A size instead of the lower and right borders.
            int[] ends = node.GetInts("scale") is [int height, int width] ? [top + height, left + width]
                : [bottom == 0 ? int.MaxValue : -bottom, right == 0 ? int.MaxValue : -right];
            context.Replace([node], Nodes.Create("Slice", node.Name, node.Input, node.Output,
                Nodes.Attribute("starts", [top, left]), Nodes.Attribute("ends", ends), Nodes.Attribute("axes", [2, 3])));
            return true;
        }
        return false;
    }

    private static bool Scale(PassContext context, NodeProto node, float factor, float[] summand, int[] shape)
    {
        string scaled = node.Input[0];
        int at = context.Model.Proto.Graph.Node.IndexOf(node);
        if (factor != 1f)
        {
            string by = context.Add(TensorProtos.Create(node.Output[0] + "_scale", [factor], []));
            scaled = context.FreeName(node.Output[0] + "_scaled");
            context.Model.Proto.Graph.Node.Insert(at, Nodes.Create("Mul", node.Name + "_Mul", [node.Input[0], by], [scaled]));
        }
        string bias = context.Add(TensorProtos.Create(node.Output[0] + "_bias", summand, shape));
        context.Replace([node], Nodes.Create("Add", node.Name, [scaled, bias], node.Output));
        return true;
    }
}
