using QuantPS.Onnx.Model;

namespace QuantPS.Onnx.Operators;

/// <summary>Mean over dimensions. As in PyTorch, the result keeps the input's scale and zero point.</summary>
public sealed class ReduceMean : QuantOperator
{
    public override string OpType => "ReduceMean";

    public override bool SharesInputQParams(NodeContext context) => true;
}
