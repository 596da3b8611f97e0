using QuantPS.Onnx.Model;

namespace QuantPS.Onnx.Runtime.Fusion;

/// <summary>Where an operator on integers has its inputs. Integers, scale and zero point of a tensor are three inputs in a row.</summary>
/// <param name="OpType">Its name.</param>
/// <param name="Domain">ONNX's, or ONNX Runtime's.</param>
/// <param name="FloatOpType">The operator that it computes.</param>
/// <param name="Activations">Where the activations begin; empty for all triples behind the output's parameters.</param>
/// <param name="Output">Scale and zero point of the output.</param>
/// <param name="Weight">Where the weight begins; -1 without.</param>
/// <param name="Bias">The int32 bias; -1 without.</param>
internal sealed record QLinearForm(string OpType, string Domain, string FloatOpType, int[] Activations, int Output, int Weight = -1, int Bias = -1)
{
    private const string Microsoft = Export.IntegerWriter.Microsoft;

    // Source: onnx docs/Operators.md; onnxruntime docs/ContribOperators.md.
    private static readonly ILookup<(string, string), QLinearForm> Forms = new QLinearForm[]
    {
        new("QLinearConv", OnnxModel.StandardDomain, "Conv", [0], Output: 6, Weight: 3, Bias: 8),
        new("QLinearMatMul", OnnxModel.StandardDomain, "MatMul", [0], Output: 6, Weight: 3),
        new("QLinearMatMul", OnnxModel.StandardDomain, "MatMul", [0, 3], Output: 6),
        new("QGemm", Microsoft, "Gemm", [0], Output: 7, Weight: 3, Bias: 6),
        new("QLinearAdd", Microsoft, "Add", [0, 3], Output: 6),
        new("QLinearMul", Microsoft, "Mul", [0, 3], Output: 6),
        new("QLinearSigmoid", Microsoft, "Sigmoid", [0], Output: 3),
        new("QLinearLeakyRelu", Microsoft, "LeakyRelu", [0], Output: 3),
        new("QLinearSoftmax", Microsoft, "Softmax", [0], Output: 3),
        new("QLinearAveragePool", Microsoft, "AveragePool", [0], Output: 3),
        new("QLinearGlobalAveragePool", Microsoft, "GlobalAveragePool", [0], Output: 3),
        new("QLinearConcat", Microsoft, "Concat", [], Output: 0),
    }.ToLookup(f => (f.Domain, f.OpType));

    /// <summary>The forms of an operator, those with weights first; empty when it is none of these.</summary>
    public static IEnumerable<QLinearForm> Find(Model.Proto.NodeProto node) => Forms[(OnnxModel.NormalizeDomain(node.Domain), node.OpType)];
}
