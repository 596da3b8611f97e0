using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>max(x, 0). Part of the layer before it where there is one; on its own it limits the integers at the zero point.</summary>
public sealed class Relu : QuantOperator
{
    public override string OpType => "Relu";

    public override bool SharesInputQParams(NodeContext context) => true;

    public override ActivationRange? RangeOf(GraphIndex graph, NodeProto node) => new ActivationRange(0f, float.PositiveInfinity);

    public override Int8Step? CreateStep(StepContext context) => Clip.CreateClamp(new ActivationRange(0f, float.PositiveInfinity), context);

    public override bool WriteIntegers(IntegerWriter writer) => writer.WriteClip(new ActivationRange(0f, float.PositiveInfinity));
}
