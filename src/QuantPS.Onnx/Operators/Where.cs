using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>One of two activations, element by element, chosen by a bool tensor; shapes broadcast.</summary>
public sealed class Where : QuantOperator
{
    public override string OpType => "Where";

    public override IReadOnlyList<int> ActivationInputs(NodeProto node) => [1, 2];

    public override bool WriteIntegers(IntegerWriter writer) => writer.Write("QLinearWhere", IntegerWriter.Microsoft,
        [writer.Node.Input[0], .. writer.Input(1), .. writer.Input(2), .. writer.OutputParameters]);
}
