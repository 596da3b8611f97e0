using QuantPS.Engine.Layers;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model;

namespace QuantPS.Onnx.Operators;

/// <summary>Sum of two activations of the same shape (residual connections).</summary>
public sealed class Add : QuantOperator
{
    public override string OpType => "Add";

    public override IReadOnlyList<int> ActivationInputs => [0, 1];

    public override bool AbsorbsActivation => true;

    public override string? WhyFloat(NodeContext context)
    {
        if (context.ConstantInput(0) is not null || context.ConstantInput(1) is not null)
            return "one operand is a constant";
        Execution.ValueType? a = context.Types[context.Node.Input[0]], b = context.Types[context.Node.Input[1]];
        bool same = a is not null && b is not null && a.Dims.SequenceEqual(b.Dims) && a.Symbols.SequenceEqual(b.Symbols);
        return same ? null : $"its operands {a?.ShapeText ?? "?"} and {b?.ShapeText ?? "?"} need not have the same shape";
    }

    public override Int8Step CreateStep(StepContext context)
    {
        QuantizedAdd add = new(context.Inputs[0], context.Inputs[1], context.Output, context.Range.IsRelu, context.OnnxRule);
        return inputs =>
        {
            QuantizedTensor sum = add.Run(inputs[0], inputs[1]);
            context.Range.Clamp(sum, context.OnnxRule);
            return sum;
        };
    }
}
