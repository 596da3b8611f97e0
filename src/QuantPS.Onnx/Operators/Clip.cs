using QuantPS.Engine.Layers;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>min(max(x, low), high), ReLU6 among others. Part of the layer before it where there is one.</summary>
public sealed class Clip : QuantOperator
{
    public override string OpType => "Clip";

    public override bool SharesInputQParams(NodeContext context) => true;

    public override string? WhyFloat(NodeContext context) =>
        RangeOf(context.Graph, context.Node) is null ? "its limits are computed, not constants" : null;

    /// <summary>Limits are attributes until opset 10, inputs since; each may be left out.</summary>
    public override ActivationRange? RangeOf(GraphIndex graph, NodeProto node)
    {
        float? low = Limit(1, "min", float.NegativeInfinity), high = Limit(2, "max", float.PositiveInfinity);
        return low is float l && high is float h ? new ActivationRange(l, h) : null;

        float? Limit(int index, string attribute, float none) => GraphIndex.Input(node, index).Length == 0
            ? node.GetFloat(attribute, none)
            : graph.ConstantInput(node, index)?.ToScalar();
    }

    public override Int8Step? CreateStep(StepContext context) =>
        CreateClamp(RangeOf(context.Context.Graph, context.Context.Node)!.Value, context);

    public override bool WriteIntegers(IntegerWriter writer) => writer.WriteClip(RangeOf(writer.Context.Graph, writer.Context.Node)!.Value);

    /// <summary>Limits the integers, as PyTorch's clamp does on quantized tensors: the ends are quantized like any value.</summary>
    internal static Int8Step CreateClamp(ActivationRange range, StepContext context)
    {
        (int low, int high) = range.Integers(context.Output, context.OnnxRule);
        IntegerLimits limits = new(low, high);
        return (inputs, spent) => limits.Run(inputs[0], inPlace: (spent & 1) != 0);
    }
}
