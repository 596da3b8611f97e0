using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Operators;
using QuantPS.Onnx.Quantization;

namespace QuantPS.Onnx.Runtime;

/// <summary>A Split of a quantized graph: its pieces as integers with the input's parameters.</summary>
internal sealed class SplitStep : PlanStep, IMovingStep
{
    private readonly QuantizedGraph graph;
    private readonly string input;
    private readonly QParams seen;
    private readonly Int8Step[] pieces;

    private SplitStep(QuantizedGraph graph, QuantizedNode node, string[] outputs, Int8Step[] pieces)
    {
        this.graph = graph;
        this.pieces = pieces;
        input = node.Planned.Inputs.First();
        seen = graph.InputQParams(node.Planned, input);
        Inputs = [input];
        Outputs = outputs;
        Moves = seen.IsSameAs(graph.QParamsOf(input)!) ? pieces : [];
        Description = $"{node.OpType} {node.Name}";
    }

    public override IReadOnlyList<string> Inputs { get; }

    public override IReadOnlyList<string> Outputs { get; }

    public override string Description { get; }

    /// <inheritdoc/>
    public IReadOnlyList<Int8Step> Moves { get; }

    /// <inheritdoc/>
    public QParams Meaning => seen;

    /// <summary>The step for a node; null for any other operator, a Split by computed sizes, or of a constant.</summary>
    public static SplitStep? Create(QuantizedGraph graph, QuantizedNode node)
    {
        if (node.Planned.Operator is not Split || node.Planned.Inputs.FirstOrDefault() is not string input || graph.Constants.ContainsKey(input)
            || !graph.InputQParams(node.Planned, input).DType.IsEightBit())
            return null;
        StepContext context = graph.StepContextOf(node.Planned);
        List<string> outputs = [];
        List<Int8Step> pieces = [];
        for (int i = 0; i < node.Planned.Node.Output.Count; i++)
        {
            if (node.Planned.Node.Output[i] is not { Length: > 0 } output)
                continue;
            if (Split.PartOf(context.Context, i)?.CreateStep(context) is not Int8Step piece)
                return null;
            outputs.Add(output);
            pieces.Add(piece);
        }
        return new SplitStep(graph, node, [.. outputs], [.. pieces]);
    }

    public override void Run(ReadOnlySpan<GraphValue> inputs, Span<GraphValue?> outputs)
    {
        QuantizedTensor[] given = [Read(0, inputs[0])];
        for (int i = 0; i < pieces.Length; i++)
            outputs[i] = Made(pieces[i](given, 0));
    }

    /// <inheritdoc/>
    public QuantizedTensor Read(int operand, GraphValue value) => QuantizedStep.Integers(graph, value, input, seen);

    /// <inheritdoc/>
    public GraphValue Made(QuantizedTensor result) => new(result);
}
