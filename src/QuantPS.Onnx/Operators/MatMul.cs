using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>Matrix product with a constant matrix [in, out]: a linear layer without bias, over any number of leading dimensions.</summary>
public sealed class MatMul : WeightOperator
{
    public override string OpType => "MatMul";

    public override bool WeightIsTransposed(NodeProto node) => true;

    public override string? WhyFloat(NodeContext context)
    {
        if (WhyNotConstant(context, 1, "second operand") is string weight)
            return weight;
        if (context.ConstantInput(1)!.Dims.Count != 2)
            return "its constant operand is not a matrix";
        return context.Types[context.Node.Input[0]] is { Rank: 1 } ? "its input is a vector" : null;
    }

    public override Tensor Weight(NodeContext context) => MatrixWeight.OutputsFirst(context.ConstantInput(1)!, transposed: true);

    public override float[]? Bias(NodeContext context) => null;

    public override QuantizedWeightLayer CreateLayer(NodeContext context, QuantizedTensor weight, float[]? bias, QParams input,
        QParams output, EngineKind engine, LayerOptions options) =>
        new QuantizedLinear(weight, bias, input, output, engine, options);
}
