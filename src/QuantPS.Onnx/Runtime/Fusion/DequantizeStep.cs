using QuantPS.Engine.Numerics;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Runtime.Fusion;

/// <summary>DequantizeLinear of 8 bits with constant parameters per tensor: where float values leave the layers.</summary>
internal sealed class DequantizeStep : PlanStep
{
    private readonly NodeProto node;
    private readonly QParams qparams;

    private DequantizeStep(NodeProto node, QParams qparams)
    {
        this.qparams = qparams;
        Inputs = [node.Input[0]];
        Outputs = [node.Output[0]];
        this.node = node;
        Description = $"DequantizeLinear {GraphIndex.DisplayName(node)}";
    }

    public override IReadOnlyList<string> Inputs { get; }

    public override IReadOnlyList<string> Outputs { get; }

    public override string Description { get; }

    public override IEnumerable<PlanLayer> Layers =>
        [new PlanLayer(GraphIndex.DisplayName(node), node.OpType, () => PlanLayer.Integers, IsInteger: true) { Input = qparams }];

    /// <summary>The step for a node; null for any other DequantizeLinear.</summary>
    public static DequantizeStep? Create(NodeProto node, UnitValues values) => node.Is("DequantizeLinear") && node.GetInt("block_size", 0) == 0
        && values.Parameters(UnitValues.EightBit(values.TypeOf(node.Input[0])), node.Input[1], GraphIndex.Input(node, 2)) is QParams p ? new DequantizeStep(node, p) : null;

    public override void Run(ReadOnlySpan<GraphValue> inputs, Span<GraphValue?> outputs) =>
        outputs[0] = new GraphValue(Quantizer.Dequantize(inputs[0].Meant(qparams)));
}
