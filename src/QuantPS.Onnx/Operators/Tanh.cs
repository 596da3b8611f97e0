using QuantPS.Engine.Numerics;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>Hyperbolic tangent.</summary>
public sealed class Tanh : TableOperator
{
    public override string OpType => "Tanh";

    protected override Func<float, float> Function(NodeProto node) => MathF.Tanh;

    protected override Func<float, float> OnnxFunction(NodeProto node) => MlasFunctions.Tanh;
}
