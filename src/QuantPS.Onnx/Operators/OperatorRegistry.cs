using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>The operators that have an int8 form, a line each. All others run in float.</summary>
public static class OperatorRegistry
{
    private static readonly Dictionary<string, QuantOperator> Operators = new QuantOperator[]
    {
        new Conv(),
        new Gemm(),
        new MatMul(),
        new Relu(),
        new Clip(),
        new HardSwish(),
        new HardSigmoid(),
        new Sigmoid(),
        new Add(),
        new GlobalAveragePool(),
        new MaxPool(),
        new Flatten(),
        new Reshape(),
        new Identity(),
    }.ToDictionary(o => o.OpType, StringComparer.Ordinal);

    /// <summary>ONNX names of the operators with an int8 form.</summary>
    public static IReadOnlyCollection<string> OpTypes => Operators.Keys;

    /// <summary>What is known of a node's operator; null when it has no int8 form.</summary>
    public static QuantOperator? Find(NodeProto node) =>
        OnnxModel.NormalizeDomain(node.Domain).Length == 0 ? Operators.GetValueOrDefault(node.OpType) : null;
}
