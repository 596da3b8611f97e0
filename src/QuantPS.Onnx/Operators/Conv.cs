using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;

namespace QuantPS.Onnx.Operators;

/// <summary>Convolution with 1 to 3 spatial dimensions, also grouped and depthwise. Weight [O, I / groups, kernel...], output channels on
/// axis 0.</summary>
public sealed class Conv : WeightOperator
{
    private const int MostSpatialDims = 3;

    public override string OpType => "Conv";

    public override string? WhyFloat(NodeContext context)
    {
        if (WhyNotConstant(context, 1, "weight") is string weight)
            return weight;
        if (GraphIndex.Input(context.Node, 2).Length > 0 && WhyNotConstant(context, 2, "bias") is string bias)
            return bias;
        int spatial = context.ConstantInput(1)!.Dims.Count - 2;
        if (spatial is < 1 or > MostSpatialDims)
            return $"it has {spatial} spatial dimensions";
        Window.Of(context.Node, Kernel(context), context.Types[context.Node.Input[0]], out string? problem);
        return problem;
    }

    public override IReadOnlyList<WeightInput> WeightInputs(NodeContext context) => [new(1, 0), new(2, 0, IsBias: true)];

    public override Tensor Weight(NodeContext context) => context.ConstantInput(1)!.ToTensor();

    public override float[]? Bias(NodeContext context) => context.ConstantInput(2)?.ToFloats();

    public override QuantizedWeightLayer CreateLayer(NodeContext context, QuantizedTensor weight, LayerBias bias, QParams input,
        QParams output, EngineKind engine, LayerOptions options)
    {
        Window w = Window.Of(context.Node, Kernel(context), context.Types[context.Node.Input[0]], out _)!;
        ConvGeometry geometry = new(w.Kernel, w.Stride, w.PadBegin, w.PadEnd, w.Dilation, checked((int)context.Node.GetInt("group", 1)));
        return bias.Integers is { } integers ? QuantizedConv.FromIntegerBias(weight, integers, geometry, input, output, options)
            : new QuantizedConv(weight, bias.Real, geometry, input, output, engine, options);
    }

    /// <summary>ONNX Runtime takes one zero point for all channels of a weight.</summary>
    public override bool WriteIntegers(IntegerWriter writer) => writer.Weight(1).HasOneZeroPoint
        && writer.Write("QLinearConv", OnnxModel.StandardDomain,
            [.. writer.Input(0), .. writer.Weight(1).Names, .. writer.OutputParameters, .. writer.Bias(2)], [.. writer.Node.Attribute]);

    private static int[] Kernel(NodeContext context) => context.ConstantInput(1)!.Shape()[2..];
}
