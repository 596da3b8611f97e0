using QuantPS.Engine.Numerics;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>Functions of one variable that models are not quantized for, but that are a table where a file has them between DequantizeLinear and
/// QuantizeLinear. A line each.</summary>
public static class FunctionTables
{
    // Defaults of onnx docs/Operators.md, Selu.
    private const float SeluAlpha = 1.67326319217681884765625f, SeluGamma = 1.05070102214813232421875f;

    private const float RootOfTwoByPi = 0.7978845608f, Cubic = 0.044715f;

    private static readonly Dictionary<(string Domain, string OpType), Func<NodeContext, Func<float, float>?>> Functions = new()
    {
        [("", "Abs")] = _ => MathF.Abs,
        [("", "Neg")] = _ => x => -x,
        [("", "Exp")] = _ => MathF.Exp,
        [("", "Log")] = _ => MathF.Log,
        [("", "Sqrt")] = _ => MathF.Sqrt,
        [("", "Reciprocal")] = _ => x => 1f / x,
        [("", "Erf")] = _ => x => (float)Erf(x),
        [("", "Elu")] = c => c.Node.GetFloat("alpha", 1f) is var alpha ? x => x < 0 ? alpha * (MathF.Exp(x) - 1f) : x : null,
        [("", "Selu")] = c => (c.Node.GetFloat("alpha", SeluAlpha), c.Node.GetFloat("gamma", SeluGamma)) is var (alpha, gamma) ? x => gamma * (x > 0 ? x : alpha * (MathF.Exp(x) - 1f)) : null,
        [("", "Celu")] = c => c.Node.GetFloat("alpha", 1f) is var alpha ? x => MathF.Max(0f, x) + MathF.Min(0f, alpha * (MathF.Exp(x / alpha) - 1f)) : null,
        [("", "ThresholdedRelu")] = c => c.Node.GetFloat("alpha", 1f) is var alpha ? x => x > alpha ? x : 0f : null,
        [("", "Softplus")] = _ => Softplus,
        [("", "Softsign")] = _ => x => x / (1f + MathF.Abs(x)),
        [("", "Mish")] = _ => x => x * MathF.Tanh(Softplus(x)),
        [("", "Sign")] = _ => x => x > 0 ? 1f : x < 0 ? -1f : 0f,
        [("", "Floor")] = _ => MathF.Floor,
        [("", "Ceil")] = _ => MathF.Ceiling,
        [("", "Round")] = _ => x => MathF.Round(x, MidpointRounding.ToEven),
        [("", "Sin")] = _ => MathF.Sin,
        [("", "Cos")] = _ => MathF.Cos,
        [("", "Gelu")] = c => c.Node.GetString("approximate", "none") == "tanh" ? TanhGelu : Gelu,
        [(Export.IntegerWriter.Microsoft, "Gelu")] = _ => Gelu,
        [(Export.IntegerWriter.Microsoft, "FastGelu")] = c => GraphIndex.Input(c.Node, 1).Length == 0 ? TanhGelu : null,
        [(Export.IntegerWriter.Microsoft, "QuickGelu")] = c => c.Node.GetFloat("alpha", 1.702f) is var alpha ? x => x * MlasFunctions.Logistic(alpha * x) : null,
        [("", "Div")] = c => Scalar(c, 1) is float by ? x => x / by : null,
        [("", "Sub")] = c => Scalar(c, 1) is float less ? x => x - less : null,
        [("", "Pow")] = c => Scalar(c, 1) is float exponent ? x => MathF.Pow(x, exponent) : null,
    };

    /// <summary>The table of a node; null when it is none of these, or of more than one variable.</summary>
    public static TableOperator? Find(NodeContext context) =>
        Functions.TryGetValue((OnnxModel.NormalizeDomain(context.Node.Domain), context.Node.OpType), out Func<NodeContext, Func<float, float>?>? of) && of(context) is { } function
            ? new Table(context.Node.OpType, function) : null;

    /// <summary>The error function, by its power series, and near its limits by its continued fraction; to about 1e-13.</summary>
    /// <remarks>Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.5 and 7.1.14.</remarks>
    public static double Erf(double x)
    {
        double z = Math.Abs(x);
        if (z > 6)
            return Math.Sign(x);
        if (z < 3)
        {
            double term = z, sum = z;
            for (int n = 1; n < 100; n++)
            {
                term *= -z * z / n;
                sum += term / (2 * n + 1);
            }
            return Math.Sign(x) * 2 / Math.Sqrt(Math.PI) * sum;
        }
        double fraction = z;
        for (int n = 60; n >= 1; n--)
            fraction = z + n / 2.0 / fraction;
        return Math.Sign(x) * (1 - Math.Exp(-z * z) / (fraction * Math.Sqrt(Math.PI)));
    }

    private static float Softplus(float x) => x > 0 ? x + MathF.Log(1f + MathF.Exp(-x)) : MathF.Log(1f + MathF.Exp(x));

    private static float Gelu(float x) => (float)(0.5 * x * (1 + Erf(x * Math.Sqrt(0.5))));

    private static float TanhGelu(float x) => 0.5f * x * (1f + MathF.Tanh(RootOfTwoByPi * (x + Cubic * x * x * x)));

    private static float? Scalar(NodeContext context, int index) =>
        context.ConstantInput(index) is { } t && t.Type() == TensorProto.Types.DataType.Float && t.Count() == 1 && t.Dims.Count <= 1 ? t.ToScalar() : null;

    private sealed class Table(string opType, Func<float, float> function) : TableOperator
    {
        public override string OpType => opType;

        protected override Func<float, float> Function(NodeProto node) => function;
    }
}
