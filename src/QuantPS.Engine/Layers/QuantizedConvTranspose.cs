using QuantPS.Engine.Errors;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Numerics.Requantization;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>A quantized transposed convolution, PyTorch's quantized.ConvTranspose1d/2d/3d.</summary>
/// <remarks>
/// Source: aten/native/quantized/cpu/qconv.cpp, qconv_prepack.cpp. The arithmetic is the engine's own for convolutions; there is no fused ReLU.
/// Weights per channel (axis 1) only with qnnpack and one group: fbgemm, onednn and x86 refuse them, and QNNPACK reads past the scales when there
/// are several groups. The real QNNPACK has no 3-D form (torch 1.13 returns memory that was never written); here it has, by the same formula.
/// </remarks>
public sealed class QuantizedConvTranspose : QuantizedWeightLayer
{
    private readonly PlanCache<Plan> plans;

    /// <param name="weight">qint8 [I, O / groups, kernel...], per tensor, or per channel along axis 1 (qnnpack, one group).</param>
    /// <param name="bias">float32 [O], or null.</param>
    /// <param name="geometry">Kernel, stride, padding, output padding, dilation, groups.</param>
    /// <param name="input">8-bit parameters that inputs are expected in.</param>
    /// <param name="output">8-bit parameters of the result.</param>
    /// <param name="engine">Whose arithmetic.</param>
    /// <param name="options">Name, compat, PyTorch's version.</param>
    /// <exception cref="QuantException">ShapeMismatch, UnsupportedDType, UnsupportedScheme, UnsupportedOperator, AsymmetricWeightRefused, InvalidRequantizationScale.</exception>
    public QuantizedConvTranspose(QuantizedTensor weight, float[]? bias, ConvTransposeGeometry geometry, QParams input, QParams output, EngineKind engine = EngineKind.X86, LayerOptions? options = null)
        : base(weight, bias, input, output, engine, options ?? new LayerOptions(), isConv: true, geometry.Groups, channelAxis: 1, hasOutputPadding: Array.Exists(geometry.OutputPadding, p => p > 0))
    {
        OperatorChecks.TorchOnly(engine, "QuantizedConvTranspose");
        Geometry = geometry;
        if (weight.Rank != geometry.SpatialRank + 2 || !weight.Dims[2..].SequenceEqual(geometry.Kernel))
            throw new QuantException(ErrorIds.ShapeMismatch, $"{Label}: the weight [{TensorShape.Format(weight.Dims)}] must be [input channels, output channels / groups, {string.Join(", ", geometry.Kernel)}].", weight);
        if (InputChannels % geometry.Groups != 0)
            throw new QuantException(ErrorIds.ShapeMismatch, $"{Label}: {InputChannels} input channels cannot be split into {geometry.Groups} groups.", weight);
        if (weight.QParams.IsPerChannel && (engine != EngineKind.Qnnpack || geometry.Groups > 1))
            throw new QuantException(ErrorIds.UnsupportedScheme, $"{Label}: transposed convolutions take per-channel weights only with the engine qnnpack and one group. Quantize the weight per tensor.", weight);
        if (engine == EngineKind.OneDnn && Array.Exists(geometry.OutputPadding, p => p > 0))
            throw new QuantException(ErrorIds.UnsupportedOperator, $"{Label}: onednn only supports output padding 0. Use the engine fbgemm, qnnpack or x86.", this);
        plans = new(input, MakePlan);
    }

    public ConvTransposeGeometry Geometry { get; }

    public int InputChannels => Weight.Dims[0];

    /// <inheritdoc/>
    public override string KernelName => plans.Own.Kernel.Name;

    /// <inheritdoc/>
    public override Requantizer Requantizer => plans.Own.Requantizer;

    /// <inheritdoc/>
    public override QuantizedTensor Run(QuantizedTensor x)
    {
        int[] outputShape = OutputShape(x);
        Plan plan = plans.For(x.QParams);
        QuantizedTensor y = OperatorChecks.NewTensor(outputShape, OutputQParams, x);
        plan.Kernel.Run(x.Memory, x.Dims[0], x.Dims[2..].ToArray(), y.Memory);
        return y;
    }

    /// <summary>Shape of the result for an input, which is checked.</summary>
    /// <exception cref="QuantException">ShapeMismatch, UnsupportedDType.</exception>
    public int[] OutputShape(QuantizedTensor x)
    {
        CheckActivation(x.QParams, "input");
        if (x.Rank != Geometry.SpatialRank + 2 || x.Dims[1] != InputChannels)
            throw new QuantException(ErrorIds.ShapeMismatch, $"{Label} expects [N, {InputChannels}, {string.Join(", ", "DHW"[(3 - Geometry.SpatialRank)..].ToCharArray())}], but the input is [{TensorShape.Format(x.Dims)}].", x);
        return [x.Dims[0], OutputChannels, .. Geometry.OutputSize(x.Dims[2..])];
    }

    private Plan MakePlan(QParams input)
    {
        Requantizer requantizer = CreateRequantizer(input, biasPackedThroughFloat: true);
        return new Plan(requantizer, new ReferenceConvTranspose(new ConvTransposeProblem
        {
            Weight = WeightIntegers(),
            WeightZeroPoints = WeightZeroPoints(),
            InputChannels = InputChannels,
            OutputChannels = OutputChannels,
            Geometry = Geometry,
            InputZeroPoint = FlippedZeroPoint(input),
            InputFlip = FlipOf(input),
            Requantizer = requantizer,
        }));
    }

    private sealed record Plan(Requantizer Requantizer, ReferenceConvTranspose Kernel);

    public override string ToString() => $"QuantizedConvTranspose {Name} {InputChannels}->{OutputChannels} {Geometry} ({EffectiveEngine})";
}
