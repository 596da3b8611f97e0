using QuantPS.Engine.Configuration;
using QuantPS.Engine.Numerics;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>1 / (1 + exp(-x)).</summary>
public sealed class Sigmoid : TableOperator
{
    public override string OpType => "Sigmoid";

    public override QParams? FixedOutput(QConfig config) => ZeroToOne(config);

    protected override Func<float, float> Function(NodeProto node) => x => 1f / (1f + MathF.Exp(-x));

    protected override Func<float, float> OnnxFunction(NodeProto node) => MlasFunctions.Logistic;

    public override bool WriteIntegers(IntegerWriter writer) =>
        writer.Write("QLinearSigmoid", IntegerWriter.Microsoft, [.. writer.Input(0), .. writer.OutputParameters]);
}
