using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Operators;
using QuantPS.Onnx.Quantization;

namespace QuantPS.Onnx.Runtime;

/// <summary>A quantized node that this module has no kernel for: the float operator on dequantized inputs and weights, by ONNX Runtime, and
/// its results
/// quantized. What a file in QDQ form says, step by step.</summary>
internal sealed class DequantizedStep : PlanStep
{
    private readonly QuantizedGraph graph;
    private readonly PlannedNode node;
    private readonly FloatIsland island;
    private readonly Dictionary<string, QParams> activations = new(StringComparer.Ordinal);
    // Names in the island and in the graph, and where the island gives them.
    private readonly (string To, int At)[] results;

    public DequantizedStep(QuantizedGraph graph, QuantizedNode quantized, SessionSettings? settings)
    {
        this.graph = graph;
        node = quantized.Planned;
        Dictionary<string, TensorProto> constants = node.Inputs.Where(graph.Constants.ContainsKey).Distinct()
            .ToDictionary(v => v, v => TensorProtos.Create(v, graph.Constants[v].Dequantize()), StringComparer.Ordinal);
        foreach (string value in node.Inputs.Where(v => !constants.ContainsKey(v)))
            activations[value] = graph.InputQParams(node, value);
        foreach ((int index, QuantizedTensor weight) in quantized.Weights)
        {
            string? bias = index == NodeWeights.BiasIndex ? node.BiasAdd?.Input.Single(i => i != node.Node.Output[0]) : null;
            string name = bias ?? node.Node.Input[index];
            constants[name] = TensorProtos.Create(name, weight.Dequantize().Span,
                bias is null ? weight.Shape : graph.Float.Graph.Constant(name)!.Shape());
        }
        NodeProto last = node.Chain.LastOrDefault() ?? node.BiasAdd ?? node.Node;
        island = new FloatIsland(graph.Float, graph.Plan.Types, [.. node.Before, node.Node, .. ((NodeProto?[])[node.BiasAdd, .. node.Chain]).OfType<NodeProto>()], last.Output.Contains,
            v => constants.GetValueOrDefault(v) ?? graph.Float.Graph.Constant(v), settings);
        results = [.. last.Output.Select((o, i) => (i == 0 ? node.Output : o, Array.IndexOf([.. island.Outputs], o))).Where(r => r.Item2 >= 0)];
        Inputs = island.Inputs;
        Outputs = [.. results.Select(r => r.To)];
    }

    public override IReadOnlyList<string> Inputs { get; }

    public override IReadOnlyList<string> Outputs { get; }

    public override void Run(ReadOnlySpan<GraphValue> inputs, Span<GraphValue?> outputs)
    {
        var own = new GraphValue[inputs.Length];
        for (int i = 0; i < own.Length; i++)
        {
            own[i] = activations.TryGetValue(Inputs[i], out QParams? seen)
                ? new GraphValue(QuantizedStep.Integers(graph, inputs[i], Inputs[i], seen)) : inputs[i];
        }
        var given = new GraphValue?[island.Outputs.Count];
        island.Run(own, given);
        for (int r = 0; r < results.Length; r++)
        {
            (string to, int at) = results[r];
            GraphValue made = given[at]!;
            if (!node.Outputs.Contains(to))
            {
                outputs[r] = made;
                continue;
            }
            Tensor real = made.Real();
            if (node.FusedActivation is not null)
            {
                // Limiting before rounding is the same as limiting the integers at the quantized limits.
                foreach (ref float v in real.Span)
                    v = MathF.Min(MathF.Max(v, node.Range.Low), node.Range.High);
            }
            outputs[r] = new GraphValue(Quantizer.Quantize(real, graph.QParamsOf(to)!, graph.OnnxRule));
        }
    }

    public override void Dispose() => island.Dispose();
}
