using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Onnx.Operators;
using QuantPS.Onnx.Quantization;

namespace QuantPS.Onnx.Runtime;

/// <summary>A float node between quantized ones that is a function of one variable: of 256 possible inputs, so a table. What a file has as
/// DequantizeLinear, the node and QuantizeLinear.</summary>
internal sealed class FunctionStep : PlanStep
{
    private readonly QuantizedGraph graph;
    private readonly QParams input;
    private readonly QuantizedTable table;

    private FunctionStep(QuantizedGraph graph, QuantizedNode node, QParams input, QuantizedTable table)
    {
        this.graph = graph;
        this.input = input;
        this.table = table;
        Inputs = [node.Planned.Node.Input[0]];
        Outputs = [node.Planned.Node.Output[0]];
        Description = $"{node.OpType} {node.Name}";
    }

    public override IReadOnlyList<string> Inputs { get; }

    public override IReadOnlyList<string> Outputs { get; }

    public override string Description { get; }

    /// <summary>The step for a node; null where the input is float, or the result is wanted as such.</summary>
    public static FunctionStep? Create(QuantizedGraph graph, QuantizedNode node)
    {
        if (node.IsQuantized || node.Planned.Node.Output.Count != 1 || FunctionTables.Find(graph.Plan.ContextOf(node.Planned)) is not { } function)
            return null;
        string from = node.Planned.Node.Input.FirstOrDefault() ?? "", to = node.Planned.Node.Output[0];
        Model.GraphIndex index = graph.Float.Graph;
        // From another node's int8 result: what comes from float is not rounded for a function's sake.
        if (graph.QParamsOf(from) is not { } input || graph.QParamsOf(to) is not { } output || !input.DType.IsEightBit() || !output.DType.IsEightBit() || index.IsOutput(to)
            || !graph.Nodes.Any(n => n.IsQuantized && !n.Planned.HasFloatOutput && n.Planned.Outputs.Contains(from))
            || !index.Consumers(to).All(c => graph.Nodes.Any(n => ReferenceEquals(n.Planned.Node, c) && n.IsQuantized && n.Planned.Inputs.Contains(to))))
            return null;
        return new FunctionStep(graph, node, input, new QuantizedTable(input, output, function.FunctionOf(node.Planned.Node, graph.OnnxRule), graph.OnnxRule));
    }

    public override void Run(ReadOnlySpan<GraphValue> inputs, Span<GraphValue?> outputs) =>
        outputs[0] = new GraphValue(table.Run(inputs[0].Integers(input, graph.OnnxRule)));
}
