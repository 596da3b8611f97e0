using QuantPS.Engine.Errors;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Numerics.Requantization;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>A quantized linear layer, PyTorch's quantized.Linear and LinearReLU.</summary>
public sealed class QuantizedLinear : QuantizedWeightLayer
{
    private readonly PlanCache<Plan> plans;

    /// <param name="weight">qint8 [out, in], per tensor or per channel along axis 0.</param>
    /// <param name="bias">float32 [out], or null.</param>
    /// <param name="input">8-bit parameters that inputs are expected in.</param>
    /// <param name="output">8-bit parameters of the result.</param>
    /// <param name="engine">Whose arithmetic.</param>
    /// <param name="options">Name, ReLU, compat.</param>
    /// <exception cref="QuantException">ShapeMismatch, UnsupportedDType, AsymmetricWeightRefused, InvalidRequantizationScale, InvalidForcedKernel.</exception>
    public QuantizedLinear(QuantizedTensor weight, float[]? bias, QParams input, QParams output, EngineKind engine = EngineKind.X86,
        LayerOptions? options = null)
        : this(weight, bias, null, input, output, engine, options ?? new LayerOptions())
    {
    }

    private QuantizedLinear(QuantizedTensor weight, float[]? bias, int[]? integerBias, QParams input, QParams output, EngineKind engine,
        LayerOptions options)
        : base(weight, bias, input, output, engine, options, isConv: false, groups: 1, integerBias: integerBias)
    {
        if (weight.Rank != 2)
            throw new QuantException(ErrorIds.ShapeMismatch, $"{Label}: the weight [{TensorShape.Format(weight.Dims)}] must be [output features, input features].", weight);
        plans = new(input, MakePlan);
    }

    /// <summary>A layer of a model that holds the bias as int32, as ONNX does; with ONNX Runtime's arithmetic. The integers are taken as they are;
    /// <see cref="QuantizedWeightLayer.Bias"/> shows what they stand for.</summary>
    /// <param name="weight">qint8 [out, in], per tensor or per channel along axis 0.</param>
    /// <param name="bias">[out], in steps of input scale x weight scale.</param>
    /// <param name="input">8-bit parameters of the input.</param>
    /// <param name="output">8-bit parameters of the result.</param>
    /// <param name="options">Name, ReLU.</param>
    /// <exception cref="QuantException">ShapeMismatch, UnsupportedDType, InvalidForcedKernel.</exception>
    public static QuantizedLinear FromIntegerBias(QuantizedTensor weight, int[] bias, QParams input, QParams output, LayerOptions? options = null) =>
        new(weight, BiasValues(bias, weight, input), bias, input, output, EngineKind.OnnxRuntime, options ?? new LayerOptions());

    public int InputFeatures => Weight.Dims[1];

    /// <inheritdoc/>
    public override string KernelName => plans.Own.Kernel.Name;

    /// <inheritdoc/>
    public override Requantizer Requantizer => plans.Own.Problem.Requantizer;

    /// <inheritdoc/>
    public override QuantizedTensor Run(QuantizedTensor x)
    {
        CheckActivation(x.QParams, "input");
        if (x.Rank == 0 || x.Dims[^1] != InputFeatures)
            throw new QuantException(ErrorIds.ShapeMismatch, $"{Label} expects [..., {InputFeatures}], but the input is [{TensorShape.Format(x.Dims)}].", x);
        int[] outputShape = [.. x.Dims[..^1], OutputChannels];
        QuantizedTensor y = new(outputShape, ActivationPool.Allocate(TensorShape.Count(outputShape)), OutputQParams) { Source = x.Source };
        plans.For(x.QParams).Kernel.Run(x.Memory, TensorShape.Count(x.Dims[..^1]), y.Memory);
        return y;
    }

    private Plan MakePlan(QParams input)
    {
        var problem = new LinearProblem
        {
            Weight = WeightIntegers(),
            WeightZeroPoints = WeightZeroPoints(),
            OutputFeatures = OutputChannels,
            InputFeatures = InputFeatures,
            InputZeroPoint = FlippedZeroPoint(input),
            InputFlip = FlipOf(input),
            Requantizer = CreateRequantizer(input, biasPackedThroughFloat: false),
        };
        return new Plan(problem, KernelSelector.Select(problem));
    }

    private sealed record Plan(LinearProblem Problem, LinearKernel Kernel);

    public override string ToString() => $"QuantizedLinear {Name} {InputFeatures}->{OutputChannels} ({EffectiveEngine})";
}
