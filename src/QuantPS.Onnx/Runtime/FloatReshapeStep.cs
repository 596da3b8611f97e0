using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Operators;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Runtime;

/// <summary>Real numbers under another shape, where only that is left to do between layers, as before the first one: to call ONNX Runtime for it takes longer than all of
/// a small layer.</summary>
internal sealed class FloatReshapeStep : PlanStep
{
    private readonly NodeProto node;
    private readonly ShapeMemo shape;

    private FloatReshapeStep(NodeProto node, Func<int[], int[]> shape)
    {
        (this.node, this.shape) = (node, new ShapeMemo(shape));
        Inputs = [node.Input[0]];
        Outputs = [node.Output[0]];
        Description = $"{node.OpType} {GraphIndex.DisplayName(node)} (of float)";
    }

    public override IReadOnlyList<string> Inputs { get; }

    public override IReadOnlyList<string> Outputs { get; }

    public override string Description { get; }

    public override IEnumerable<PlanLayer> Layers => [new PlanLayer(GraphIndex.DisplayName(node), node.OpType, () => "copied", IsInteger: false)];

    /// <summary>The step for a node; null where it computes something or is not of float32, or its shape is computed.</summary>
    /// <param name="node">Any.</param>
    /// <param name="graph">Its graph.</param>
    /// <param name="types">Types of the graph's values.</param>
    /// <param name="constant">The constant behind a value, or null.</param>
    public static FloatReshapeStep? Create(NodeProto node, GraphIndex graph, ValueTypes types, Func<string, TensorProto?> constant) =>
        node.Input.Count > 0 && constant(node.Input[0]) is null && types[node.Input[0]]?.ElementType == DataType.Float
        && OperatorRegistry.Find(node).OfType<ShapeChange>().FirstOrDefault()?.Shape(new NodeContext(graph, node, types) { Dequantized = constant }) is { } shape
            ? new FloatReshapeStep(node, shape) : null;

    public override void Run(ReadOnlySpan<GraphValue> inputs, Span<GraphValue?> outputs)
    {
        Tensor x = inputs[0].Real();
        Tensor y = new(shape.Of(x.Dims), ActivationPool.AllocateFloats(x.Length)) { Name = Outputs[0] };
        x.Span.CopyTo(y.Span);
        outputs[0] = new GraphValue(y);
    }
}
