using QuantPS.Engine.Layers;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;

namespace QuantPS.Onnx.Operators;

/// <summary>Mean over the spatial positions. As in PyTorch, the result keeps the input's scale and zero point.</summary>
public sealed class GlobalAveragePool : QuantOperator
{
    public override string OpType => "GlobalAveragePool";

    public override bool SharesInputQParams(NodeContext context) => true;

    public override Int8Step? CreateStep(StepContext context)
    {
        QuantizedGlobalAveragePool pool = new(context.Inputs[0], context.Output, context.OnnxRule);
        return (inputs, spent) => pool.Run(inputs[0]);
    }

    public override bool WriteIntegers(IntegerWriter writer) => writer.Write("QLinearGlobalAveragePool", IntegerWriter.Microsoft,
        [.. writer.Input(0), .. writer.OutputParameters], Nodes.Attribute("channels_last", 0L));
}
