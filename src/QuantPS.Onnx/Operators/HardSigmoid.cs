using QuantPS.Engine.Configuration;
using QuantPS.Engine.Numerics;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>max(0, min(1, alpha * x + beta)).</summary>
public sealed class HardSigmoid : TableOperator
{
    public override string OpType => "HardSigmoid";

    public override QParams? FixedOutput(QConfig config) => ZeroToOne(config);

    protected override Func<float, float> Function(NodeProto node)
    {
        float alpha = node.GetFloat("alpha", 0.2f), beta = node.GetFloat("beta", 0.5f);
        return x => MathF.Max(0f, MathF.Min(1f, alpha * x + beta));
    }
}
