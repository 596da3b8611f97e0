using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Quantization;

namespace QuantPS.Onnx.Runtime;

/// <summary>A float Transpose before the first layer, as networks from TensorFlow have it: the floats are quantized as they lie and the bytes transposed, which gives the same, and costs nothing
/// where it turns pixels into an image, as that is how layers want them.</summary>
internal static class TransposedInput
{
    /// <summary>The order of the dimensions, where a value is made by a Transpose and nobody else takes that.</summary>
    /// <param name="graph">The graph.</param>
    /// <param name="value">What is to be quantized.</param>
    public static (NodeProto Node, int[] Order)? Find(GraphIndex graph, string value) =>
        graph.Producer(value) is { } node && node.Is("Transpose") && node.GetInts("perm") is { } order && !graph.IsOutput(value) && graph.Constant(node.Input[0]) is null ? (node, order) : null;

    /// <summary>A tensor's integers in another order.</summary>
    public static QuantizedTensor Quantize(Tensor x, int[] order, QParams qparams, bool onnxRule)
    {
        QuantizedTensor lying = Quantizer.Quantize(x, qparams, onnxRule), result = QuantizedRearrange.Permute(lying, order);
        if (!ActivationPool.AreOne(lying, result))
            ActivationPool.Current?.Return(lying);
        return result;
    }

    /// <summary>The step of a quantized graph for a float node; null where its result is wanted as floats, or is no such Transpose.</summary>
    public static PlanStep? Create(QuantizedGraph graph, QuantizedNode node)
    {
        GraphIndex index = graph.Float.Graph;
        if (node.IsQuantized || node.Planned.Node.Output.Count != 1 || Find(index, node.Planned.Node.Output[0]) is not var (transpose, order) || !ReferenceEquals(transpose, node.Planned.Node)
            || !graph.Plan.Types.IsFloat(transpose.Input[0]) || graph.QParamsOf(transpose.Input[0]) is not null
            || graph.QParamsOf(transpose.Output[0]) is not { IsPerChannel: false } qparams || !qparams.DType.IsEightBit()
            || !index.Consumers(transpose.Output[0]).All(c => graph.Nodes.Any(n => ReferenceEquals(n.Planned.Node, c) && n.IsQuantized && n.Planned.Inputs.Contains(transpose.Output[0]))))
            return null;
        return new Step(transpose, order, qparams, graph.OnnxRule);
    }

    private sealed class Step(NodeProto node, int[] order, QParams qparams, bool onnxRule) : PlanStep
    {
        public override IReadOnlyList<string> Inputs { get; } = [node.Input[0]];

        public override IReadOnlyList<string> Outputs { get; } = [node.Output[0]];

        public override string Description => $"Transpose {GraphIndex.DisplayName(node)}";

        public override void Run(ReadOnlySpan<GraphValue> inputs, Span<GraphValue?> outputs) =>
            outputs[0] = new GraphValue(Quantize(inputs[0].Real(), order, qparams, onnxRule));
    }
}
