using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>Matrix product with a constant matrix [in, out], over any number of leading dimensions, and the constant that a following Add
/// puts on top: a
/// linear layer.</summary>
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

    public override IReadOnlyList<WeightInput> WeightInputs(NodeContext context) => [new(1, 1)];

    /// <summary>The following Add that only adds one constant per output; null otherwise.</summary>
    public override NodeProto? BiasAdd(NodeContext context)
    {
        if (context.Graph.OnlyConsumer(context.Node.Output[0]) is not NodeProto add || !add.Is("Add"))
            return null;
        int channels = context.ConstantInput(1)!.Shape()[1];
        TensorProto? bias = BiasOf(context, add);
        // Leading dimensions of size 1 change nothing as long as the product has as many.
        return bias is not null && bias.Type() == TensorProto.Types.DataType.Float && bias.Dims.Count > 0 && bias.Dims[^1] == channels
            && bias.Count() == channels && bias.Dims.Count <= context.Types[context.Node.Output[0]]?.Rank ? add : null;
    }

    public override Tensor Weight(NodeContext context) => MatrixWeight.OutputsFirst(context.ConstantInput(1)!, transposed: true);

    public override float[]? Bias(NodeContext context) =>
        context.BiasAdd is NodeProto add ? BiasOf(context, add)!.ToFloats() : null;

    public override QuantizedWeightLayer CreateLayer(NodeContext context, QuantizedTensor weight, LayerBias bias, QParams input,
        QParams output, EngineKind engine, LayerOptions options) =>
        bias.Integers is { } integers ? QuantizedLinear.FromIntegerBias(weight, integers, input, output, options)
            : new QuantizedLinear(weight, bias.Real, input, output, engine, options);

    /// <summary>QLinearMatMul has no bias. With one, ONNX Runtime's MatMulIntegerToFloat adds it to the exact sums, and the result is
    /// quantized after that.</summary>
    public override bool WriteIntegers(IntegerWriter writer)
    {
        if (!writer.Weight(1).HasOneZeroPoint)
            return false;
        if (writer.Context.BiasAdd is null)
        {
            return writer.Write("QLinearMatMul", OnnxModel.StandardDomain,
                [.. writer.Input(0), .. writer.Weight(1).Names, .. writer.OutputParameters]);
        }
        string[] a = writer.Input(0), b = writer.Weight(1).Names;
        return writer.WriteFloat("MatMulIntegerToFloat", IntegerWriter.Microsoft, [a[0], b[0], a[1], b[1], a[2], b[2], writer.RealBias()]);
    }

    private static TensorProto? BiasOf(NodeContext context, NodeProto add) => context.Constant(BiasName(context, add));

    /// <summary>What an Add behind the product puts on top.</summary>
    internal static string BiasName(NodeContext context, NodeProto add) =>
        GraphIndex.Input(add, GraphIndex.Input(add, 0) == context.Node.Output[0] ? 1 : 0);
}
