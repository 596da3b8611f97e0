using QuantPS.Engine.Numerics;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Runtime.Fusion;

/// <summary>QuantizeLinear to 8 bits with constant parameters per tensor: where float values enter the layers.</summary>
internal sealed class QuantizeStep : PlanStep
{
    private readonly NodeProto node;
    private readonly QParams qparams;

    private QuantizeStep(NodeProto node, QParams qparams)
    {
        this.qparams = qparams;
        Inputs = [node.Input[0]];
        Outputs = [node.Output[0]];
        this.node = node;
        Description = $"QuantizeLinear {GraphIndex.DisplayName(node)}";
    }

    public override IReadOnlyList<string> Inputs { get; }

    public override IReadOnlyList<string> Outputs { get; }

    public override string Description { get; }

    public override IEnumerable<PlanLayer> Layers =>
        [new PlanLayer(GraphIndex.DisplayName(node), node.OpType, () => PlanLayer.Integers, IsInteger: true) { Output = qparams }];

    /// <summary>The step for a node; null for any other QuantizeLinear.</summary>
    public static QuantizeStep? Create(NodeProto node, UnitValues values) => node.Is("QuantizeLinear") && node.GetInt("block_size", 0) == 0
        && values.Parameters(UnitValues.EightBit(values.TypeOf(node.Output[0])), node.Input[1], GraphIndex.Input(node, 2)) is QParams p ? new QuantizeStep(node, p) : null;

    public override void Run(ReadOnlySpan<GraphValue> inputs, Span<GraphValue?> outputs) =>
        outputs[0] = GraphValue.FromLayer(Quantizer.Quantize(inputs[0].Real(), qparams, onnxRule: true));
}
