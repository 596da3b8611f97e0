using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>Linear layer: x W' + b, with W as [out, in] (transB = 1) or [in, out].</summary>
public sealed class Gemm : WeightOperator
{
    public override string OpType => "Gemm";

    public override bool WeightIsTransposed(NodeProto node) => node.GetInt("transB", 0) == 0;

    public override string? WhyFloat(NodeContext context)
    {
        NodeProto node = context.Node;
        if (node.GetInt("transA", 0) != 0)
            return "it transposes its input (transA)";
        if (node.GetFloat("alpha", 1f) != 1f || (GraphIndex.Input(node, 2).Length > 0 && node.GetFloat("beta", 1f) != 1f))
            return "alpha or beta is not 1";
        if (WhyNotConstant(context, 1, "weight") is string weight)
            return weight;
        if (GraphIndex.Input(node, 2).Length == 0)
            return null;
        if (WhyNotConstant(context, 2, "bias") is string bias)
            return bias;
        int[] shape = context.ConstantInput(2)!.Shape();
        int count = TensorShape.Count(shape), channels = Channels(context);
        return count == 1 || (count == channels && shape[^1] == channels) ? null
            : $"its bias [{TensorShape.Format(shape)}] is not one value per output";
    }

    public override IReadOnlyList<WeightInput> WeightInputs(NodeContext context) =>
        [new(1, WeightIsTransposed(context.Node) ? 1 : 0), new(2, 0, IsBias: true)];

    public override Tensor Weight(NodeContext context) => MatrixWeight.OutputsFirst(context.ConstantInput(1)!, WeightIsTransposed(context.Node));

    public override float[]? Bias(NodeContext context)
    {
        float[]? bias = context.ConstantInput(2)?.ToFloats();
        int channels = Channels(context);
        return bias is [float one] && channels > 1 ? [.. Enumerable.Repeat(one, channels)] : bias;
    }

    public override QuantizedWeightLayer CreateLayer(NodeContext context, QuantizedTensor weight, LayerBias bias, QParams input,
        QParams output, EngineKind engine, LayerOptions options) =>
        bias.Integers is { } integers ? QuantizedLinear.FromIntegerBias(weight, integers, input, output, options)
            : new QuantizedLinear(weight, bias.Real, input, output, engine, options);

    /// <summary>QGemm takes a missing bias as an empty name.</summary>
    public override bool WriteIntegers(IntegerWriter writer) => writer.Weight(1).HasOneZeroPoint
        && writer.Write("QGemm", IntegerWriter.Microsoft,
            [.. writer.Input(0), .. writer.Weight(1).Names, writer.Bias(2).FirstOrDefault(""), .. writer.OutputParameters],
            Nodes.Attribute("alpha", 1f), Nodes.Attribute("transA", 0L), Nodes.Attribute("transB", writer.Node.GetInt("transB", 0)));

    private int Channels(NodeContext context) => context.ConstantInput(1)!.Shape()[WeightIsTransposed(context.Node) ? 1 : 0];
}
