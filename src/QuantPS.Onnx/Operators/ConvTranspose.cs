using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model;

namespace QuantPS.Onnx.Operators;

/// <summary>Transposed convolution. Weight [I, O / groups, kernel...], output channels on axis 1.</summary>
/// <remarks>ONNX has no integer form of it: a file has the float operator on dequantized values. PyTorch quantizes its weight per tensor
/// even where other
/// weights are per channel (torch/ao/quantization/qconfig_mapping.py, _get_default_qconfig_mapping), and so do we.</remarks>
public sealed class ConvTranspose : WeightOperator
{
    private const int MostSpatialDims = 3;

    public override string OpType => "ConvTranspose";

    public override bool PerTensorWeight => true;

    public override string? WhyFloat(NodeContext context)
    {
        if (WhyNotConstant(context, 1, "weight") is string weight)
            return weight;
        if (GraphIndex.Input(context.Node, 2).Length > 0 && WhyNotConstant(context, 2, "bias") is string bias)
            return bias;
        int spatial = context.ConstantInput(1)!.Dims.Count - 2;
        return spatial is < 1 or > MostSpatialDims ? $"it has {spatial} spatial dimensions" : null;
    }

    public override IReadOnlyList<WeightInput> WeightInputs(NodeContext context) => [new(1, 1), new(2, 0, IsBias: true)];

    public override Tensor Weight(NodeContext context) => context.ConstantInput(1)!.ToTensor();

    public override float[]? Bias(NodeContext context) => context.ConstantInput(2)?.ToFloats();

    /// <summary>PyTorch's layer, which has no ReLU of its own in PyTorch: the integers are limited behind it there.</summary>
    public override QuantizedWeightLayer? CreateLayer(NodeContext context, QuantizedTensor weight, LayerBias bias, QParams input,
        QParams output, EngineKind engine, LayerOptions options)
    {
        if (TransposedWindow.Of(context.Node, weight.Shape[2..], context.Types[context.Node.Input[0]]) is not { } geometry
            || (engine == EngineKind.OneDnn && geometry.OutputPadding.Any(p => p > 0)))
            return null;
        return bias.Integers is { } integers ? QuantizedConvTranspose.FromIntegerBias(weight, integers, geometry, input, output, options)
            : new QuantizedConvTranspose(weight, bias.Real, geometry, input, output, engine, engine == EngineKind.OnnxRuntime ? options : options with { Relu = false });
    }
}
