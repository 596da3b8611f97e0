using QuantPS.Engine.Layers;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>Sum of two activations, or of an activation and a constant; shapes broadcast.</summary>
public sealed class Add : QuantOperator
{
    public override string OpType => "Add";

    public override IReadOnlyList<int> ActivationInputs(NodeProto node) => [0, 1];

    public override bool AbsorbsActivation => true;

    public override Int8Step? CreateStep(StepContext context)
    {
        QuantizedAdd add = LayerOf(context);
        return (inputs, spent) =>
        {
            QuantizedTensor sum = add.Run(inputs[0], inputs[1], InPlace.Of(spent));
            context.Range.Clamp(sum, context.OnnxRule);
            return sum;
        };
    }

    /// <summary>The sum, with a fused Relu; another limit comes behind it.</summary>
    internal static QuantizedAdd LayerOf(StepContext context) =>
        new(context.Inputs[0], context.Inputs[1], context.Output, context.Range.IsRelu, context.OnnxRule);

    public override bool WriteIntegers(IntegerWriter writer) =>
        writer.Write("QLinearAdd", IntegerWriter.Microsoft, [.. writer.Input(0), .. writer.Input(1), .. writer.OutputParameters]);
}
