using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;

namespace QuantPS.Onnx.Operators;

/// <summary>Mean of each window. As in PyTorch, the result keeps the input's scale and zero point.</summary>
public sealed class AveragePool : QuantOperator
{
    public override string OpType => "AveragePool";

    public override bool SharesInputQParams(NodeContext context) => true;

    /// <summary>QLinearAveragePool knows no dilation, and its automatic padding is not the standard's.</summary>
    public override bool WriteIntegers(IntegerWriter writer) => writer.Node.GetString("auto_pad", "NOTSET") is "NOTSET" or "VALID"
        && (writer.Node.GetInts("dilations") ?? []).All(d => d == 1)
        && writer.Write("QLinearAveragePool", IntegerWriter.Microsoft, [.. writer.Input(0), .. writer.OutputParameters],
            [.. writer.Node.Attribute.Where(a => a.Name != "dilations"), Nodes.Attribute("channels_last", 0L)]);
}
