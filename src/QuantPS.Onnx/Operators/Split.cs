using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>Cut into pieces along a dimension; all of them have the input's scale and zero point.</summary>
public sealed class Split : DataMovement
{
    public override string OpType => "Split";

    public override IReadOnlyList<int> QuantizedOutputs(NodeProto node) => [.. Enumerable.Range(0, node.Output.Count).Where(i => node.Output[i].Length > 0)];
}
