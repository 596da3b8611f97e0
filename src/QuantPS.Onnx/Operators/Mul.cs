using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>Product of two activations, or of an activation and a constant; shapes broadcast.</summary>
public sealed class Mul : QuantOperator
{
    public override string OpType => "Mul";

    public override IReadOnlyList<int> ActivationInputs(NodeProto node) => [0, 1];

    public override bool AbsorbsActivation => true;

    public override Int8Step? CreateStep(StepContext context)
    {
        QuantizedMul mul = new(context.Output, context.OnnxRule ? EngineKind.OnnxRuntime : EngineKind.X86, new LayerOptions { Relu = context.Range.IsRelu });
        return (inputs, spent) =>
        {
            QuantizedTensor product = mul.Run(inputs[0], inputs[1], InPlace.Of(spent));
            context.Range.Clamp(product, context.OnnxRule);
            return product;
        };
    }

    public override bool WriteIntegers(IntegerWriter writer) =>
        writer.Write("QLinearMul", IntegerWriter.Microsoft, [.. writer.Input(0), .. writer.Input(1), .. writer.OutputParameters]);
}
