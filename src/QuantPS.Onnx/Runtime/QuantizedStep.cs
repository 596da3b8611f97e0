using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Operators;
using QuantPS.Onnx.Quantization;

namespace QuantPS.Onnx.Runtime;

/// <summary>A quantized node that this module has a kernel for.</summary>
internal sealed class QuantizedStep : LayerStep
{
    private readonly QuantizedGraph graph;
    private readonly string[] names;
    private readonly QParams[] parameters;

    private QuantizedStep(QuantizedGraph graph, QuantizedNode node, Int8Step step)
        : base(step, node.Layer, graph.StepContextOf(node.Planned), node.Planned.Operator!, [.. node.Planned.Inputs.Select(v => (v, graph.Constants.GetValueOrDefault(v)))], node.Planned.Output)
    {
        this.graph = graph;
        names = [.. node.Planned.Inputs];
        parameters = [.. names.Select(v => graph.InputQParams(node.Planned, v))];
        Description = Layer is null ? $"{node.OpType} {node.Name}" : $"{node.OpType} {node.Name} ({Layer.KernelName})";
    }

    public override string Description { get; }

    /// <summary>The step for a node: by a kernel of ours, or by the float operator.</summary>
    public static PlanStep Create(QuantizedGraph graph, QuantizedNode node, SessionSettings? settings)
    {
        Int8Step? step = StepOf(graph, node);
        return step is not null ? new QuantizedStep(graph, node, step)
            : SplitStep.Create(graph, node) is { } split ? split : new DequantizedStep(graph, node, settings);
    }

    /// <summary>Whether a quantized node runs on a kernel of ours.</summary>
    public static bool HasKernel(QuantizedGraph graph, QuantizedNode node) => StepOf(graph, node) is not null || SplitStep.Create(graph, node) is not null;

    private static Int8Step? StepOf(QuantizedGraph graph, QuantizedNode node) => node.Layer is QuantizedWeightLayer layer
        ? StepOf(layer, node.Planned.Range, graph.OnnxRule)
        : HasBytes(graph, node) ? node.Planned.Operator!.CreateStep(ContextOf(graph, node)) : null;

    /// <summary>With the real values of what the file has as integers.</summary>
    private static StepContext ContextOf(QuantizedGraph graph, QuantizedNode node)
    {
        StepContext context = graph.StepContextOf(node.Planned);
        Dictionary<string, TensorProto> real = node.Weights.ToDictionary(w => node.Planned.Node.Input[w.Key], w => TensorProtos.Create(node.Planned.Node.Input[w.Key], w.Value.Dequantize()));
        return real.Count == 0 ? context : context with { Context = context.Context with { Dequantized = real.GetValueOrDefault } };
    }

    public override QuantizedTensor Read(int operand, GraphValue value) => Integers(graph, value, names[operand], parameters[operand]);

    public override GraphValue Made(QuantizedTensor result) => new(result);

    /// <summary>A value's integers as a node sees them: its own, or converted from these.</summary>
    public static QuantizedTensor Integers(QuantizedGraph graph, GraphValue value, string name, QParams seen)
    {
        QParams own = graph.QParamsOf(name)!;
        QuantizedTensor integers = value.Integers(own, graph.OnnxRule);
        return seen == own ? integers : Quantizer.Quantize(integers.Dequantize(), seen, graph.OnnxRule);
    }

    private static bool HasBytes(QuantizedGraph graph, QuantizedNode node) => node.Planned.Outputs.Any() && (node.Weights.Count == 0 || node.Planned.Operator is Normalization)
        && node.Planned.Outputs.All(v => graph.QParamsOf(v)!.DType.IsEightBit())
        && node.Planned.Inputs.All(v => graph.InputQParams(node.Planned, v).DType.IsEightBit());

    private static Int8Step StepOf(QuantizedWeightLayer layer, ActivationRange range, bool onnxRule) => (inputs, spent) =>
    {
        QuantizedTensor y = layer.Run(inputs[0]);
        range.Clamp(y, onnxRule);
        return y;
    };
}
