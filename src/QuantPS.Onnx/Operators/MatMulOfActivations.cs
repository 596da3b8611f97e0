using QuantPS.Engine.Layers;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>Matrix product of two activations, as in attention, or with a constant of more than two dimensions.</summary>
public sealed class MatMulOfActivations : QuantOperator
{
    public override string OpType => "MatMul";

    public override IReadOnlyList<int> ActivationInputs(NodeProto node) => [0, 1];

    public override Int8Step? CreateStep(StepContext context)
    {
        QuantizedMatMul product = new(context.Inputs[0], context.Inputs[1], context.Output);
        return (inputs, spent) => product.Run(inputs[0], inputs[1]);
    }

    public override bool WriteIntegers(IntegerWriter writer) =>
        writer.Write("QLinearMatMul", OnnxModel.StandardDomain, [.. writer.Input(0), .. writer.Input(1), .. writer.OutputParameters]);
}
