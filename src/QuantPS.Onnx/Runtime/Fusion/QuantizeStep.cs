using QuantPS.Engine.Numerics;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Runtime.Fusion;

/// <summary>QuantizeLinear to 8 bits with constant parameters per tensor: where float values enter the layers. With a Transpose before it, see <see cref="TransposedInput"/>.</summary>
internal sealed class QuantizeStep : PlanStep
{
    private readonly NodeProto node;
    private readonly QParams qparams;
    private readonly int[]? order;

    private QuantizeStep(NodeProto node, QParams qparams, (NodeProto Node, int[] Order)? transposed)
    {
        this.qparams = qparams;
        (Transpose, order) = (transposed?.Node, transposed?.Order);
        Inputs = [(Transpose ?? node).Input[0]];
        Outputs = [node.Output[0]];
        this.node = node;
        Description = $"{(Transpose is null ? "" : "Transpose+")}QuantizeLinear {GraphIndex.DisplayName(node)}";
    }

    /// <summary>The Transpose that it does as well; null without.</summary>
    public NodeProto? Transpose { get; }

    public override IReadOnlyList<string> Inputs { get; }

    public override IReadOnlyList<string> Outputs { get; }

    public override string Description { get; }

    public override IEnumerable<PlanLayer> Layers => ((NodeProto?[])[Transpose, node]).OfType<NodeProto>()
        .Select(n => new PlanLayer(GraphIndex.DisplayName(n), n.OpType, () => PlanLayer.Integers, IsInteger: true) { Output = qparams });

    /// <summary>The step for a node; null for any other QuantizeLinear.</summary>
    public static QuantizeStep? Create(NodeProto node, UnitValues values) => node.Is("QuantizeLinear") && node.GetInt("block_size", 0) == 0
        && values.Parameters(UnitValues.EightBit(values.TypeOf(node.Output[0])), node.Input[1], GraphIndex.Input(node, 2)) is QParams p ? new QuantizeStep(node, p, TransposeBefore(node, values)) : null;

    public override void Run(ReadOnlySpan<GraphValue> inputs, Span<GraphValue?> outputs) => outputs[0] = GraphValue.FromLayer(order is null
        ? Quantizer.Quantize(inputs[0].Real(), qparams, onnxRule: true) : TransposedInput.Quantize(inputs[0].Real(), order, qparams, onnxRule: true));

    private static (NodeProto Node, int[] Order)? TransposeBefore(NodeProto node, UnitValues values) =>
        values.Graph.OnlyConsumer(node.Input[0]) is not null && TransposedInput.Find(values.Graph, node.Input[0]) is { } found && values.TypeOf(found.Node.Input[0]) == DataType.Float ? found : null;
}
