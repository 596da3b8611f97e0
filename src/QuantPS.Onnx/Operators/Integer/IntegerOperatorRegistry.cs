using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators.Integer;

/// <summary>ONNX's operators on integers that this module runs itself, a line each.</summary>
internal static class IntegerOperatorRegistry
{
    private static readonly Dictionary<string, IntegerOperator> Operators = new IntegerOperator[]
    {
        new QuantizeLinear(),
        new DequantizeLinear(),
        new DynamicQuantizeLinear(),
        new QLinearConv(),
        new QLinearMatMul(),
        new ConvInteger(),
        new MatMulInteger(),
    }.ToDictionary(o => o.OpType, StringComparer.Ordinal);

    public static IReadOnlyCollection<string> OpTypes => Operators.Keys;

    public static IntegerOperator? Find(NodeProto node) =>
        OnnxModel.NormalizeDomain(node.Domain).Length == 0 ? Operators.GetValueOrDefault(node.OpType) : null;
}
