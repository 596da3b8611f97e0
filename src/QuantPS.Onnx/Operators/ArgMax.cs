using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>Position of the largest value along a dimension, which is that of the largest integer. The result is not quantized.</summary>
public sealed class ArgMax : QuantOperator
{
    public override string OpType => "ArgMax";

    public override IReadOnlyList<int> QuantizedOutputs(NodeProto node) => [];

    public override bool WriteIntegers(IntegerWriter writer) => writer.WriteSame();
}
