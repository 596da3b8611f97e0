using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Operators;
using QuantPS.Onnx.Quantization;

namespace QuantPS.Onnx.Runtime;

/// <summary>A quantized node that this module has a kernel for.</summary>
internal sealed class QuantizedStep : PlanStep
{
    private readonly QuantizedGraph graph;
    private readonly Int8Step step;
    private readonly string[] names;
    private readonly QParams[] parameters;
    // A constant operand, or where the operand is among the step's inputs.
    private readonly (QuantizedTensor? Constant, int Input)[] operands;

    private QuantizedStep(QuantizedGraph graph, QuantizedNode node, Int8Step step)
    {
        this.graph = graph;
        this.step = step;
        names = [.. node.Planned.Inputs];
        parameters = [.. names.Select(v => graph.InputQParams(node.Planned, v))];
        Inputs = [.. names.Where(v => !graph.Constants.ContainsKey(v)).Distinct()];
        Outputs = [node.Planned.Output];
        operands = [.. names.Select(v => graph.Constants.GetValueOrDefault(v) is { } constant ? (constant, -1) : ((QuantizedTensor?)null, Array.IndexOf([.. Inputs], v)))];
    }

    public override IReadOnlyList<string> Inputs { get; }

    public override IReadOnlyList<string> Outputs { get; }

    /// <summary>The step for a node: by a kernel of ours, or by the float operator.</summary>
    public static PlanStep Create(QuantizedGraph graph, QuantizedNode node, SessionSettings? settings)
    {
        Int8Step? step = node.Layer is QuantizedWeightLayer layer ? LayerStep(layer, node.Planned.Range, graph.OnnxRule)
            : HasBytes(graph, node) ? node.Planned.Operator!.CreateStep(graph.StepContextOf(node.Planned)) : null;
        return step is null ? new DequantizedStep(graph, node, settings) : new QuantizedStep(graph, node, step);
    }

    public override void Run(ReadOnlySpan<GraphValue> inputs, Span<GraphValue?> outputs) => Run(inputs, outputs, 0);

    public override void Run(ReadOnlySpan<GraphValue> inputs, Span<GraphValue?> outputs, uint spent)
    {
        var integers = new QuantizedTensor[operands.Length];
        uint over = 0;
        for (int i = 0; i < integers.Length; i++)
        {
            (QuantizedTensor? constant, int input) = operands[i];
            integers[i] = constant ?? Integers(graph, inputs[input], names[i], parameters[i]);
            if (constant is null && (spent >> input & 1) != 0)
                over |= 1u << i;
        }
        outputs[0] = new GraphValue(step(integers, over));
    }

    /// <summary>A value's integers as a node sees them: its own, or converted from these.</summary>
    public static QuantizedTensor Integers(QuantizedGraph graph, GraphValue value, string name, QParams seen)
    {
        QParams own = graph.QParamsOf(name)!;
        QuantizedTensor integers = value.Integers(own, graph.OnnxRule);
        return seen == own ? integers : Quantizer.Quantize(integers.Dequantize(), seen, graph.OnnxRule);
    }

    private static bool HasBytes(QuantizedGraph graph, QuantizedNode node) => node.Planned.Outputs.Any() && node.Weights.Count == 0
        && node.Planned.Outputs.All(v => graph.QParamsOf(v)!.DType.IsEightBit())
        && node.Planned.Inputs.All(v => graph.InputQParams(node.Planned, v).DType.IsEightBit());

    private static Int8Step LayerStep(QuantizedWeightLayer layer, ActivationRange range, bool onnxRule) => (inputs, spent) =>
    {
        QuantizedTensor y = layer.Run(inputs[0]);
        range.Clamp(y, onnxRule);
        return y;
    };
}
