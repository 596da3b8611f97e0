using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>x where x is not negative, alpha * x elsewhere.</summary>
public sealed class LeakyRelu : TableOperator
{
    public override string OpType => "LeakyRelu";

    protected override Func<float, float> Function(NodeProto node)
    {
        float alpha = node.GetFloat("alpha", 0.01f);
        return x => x >= 0f ? x : alpha * x;
    }

    public override bool WriteIntegers(IntegerWriter writer) => writer.Write("QLinearLeakyRelu", IntegerWriter.Microsoft,
        [.. writer.Input(0), .. writer.OutputParameters], Nodes.Attribute("alpha", writer.Node.GetFloat("alpha", 0.01f)));
}
