using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Numerics.Engines;
using QuantPS.Engine.Numerics.Requantization;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>A layer with qint8 weights and a float32 bias: 8-bit integers in, 8-bit integers out, by one engine's arithmetic.</summary>
/// <remarks>Planned once (engine picked, requantization computed, weights packed), run many times and from any thread.</remarks>
public abstract class QuantizedWeightLayer
{
    private readonly EngineProfile profile;
    private readonly int[]? integerBias;

    /// <remarks>channelAxis is the weight's dimension of output channels: 0, or 1 for transposed convolutions, where each group has that many.</remarks>
    /// <exception cref="QuantException">UnsupportedDType, ShapeMismatch, AsymmetricWeightRefused, InvalidRequantizationScale.</exception>
    protected QuantizedWeightLayer(QuantizedTensor weight, float[]? bias, QParams input, QParams output, EngineKind engine, LayerOptions options,
        bool isConv, int groups, int channelAxis = 0, bool hasOutputPadding = false, int[]? integerBias = null)
    {
        Options = options;
        Weight = weight;
        Bias = bias;
        this.integerBias = integerBias;
        InputQParams = input;
        OutputQParams = output;
        Engine = engine;
        if (weight.Rank < 2)
            throw new QuantException(ErrorIds.ShapeMismatch, $"{Label}: the weight [{TensorShape.Format(weight.Dims)}] needs at least two dimensions.", weight);
        OutputChannels = channelAxis == 0 ? weight.Dims[0] : weight.Dims[channelAxis] * groups;
        if (weight.DType != QDType.QInt8)
            throw new QuantException(ErrorIds.UnsupportedDType, $"{Label} has {weight.DType.TorchName()} weights; quantized layers take qint8. Quantize the weight with -DType qint8.", weight);
        if (weight.QParams.HasFloatZeroPoints)
        {
            throw new QuantException(ErrorIds.UnsupportedScheme, $"{Label} has weights of {weight.Scheme.TorchName()}, whose zero points are not integers; "
                + "its int32 sums need integer ones. Use per_channel_affine or per_channel_symmetric.", weight);
        }
        if (weight.QParams.IsPerChannel && TensorShape.NormalizeAxis(weight.Axis, weight.Rank) != channelAxis)
            throw new QuantException(ErrorIds.UnsupportedScheme, $"{Label} has weights quantized along axis {weight.Axis}; the output channels are axis {channelAxis}.", weight);
        if (bias is not null && bias.Length != OutputChannels)
            throw new QuantException(ErrorIds.ShapeMismatch, $"{Label} has {OutputChannels} output channels but a bias of {bias.Length} values.", bias);
        CheckActivation(input, "input");
        CheckActivation(output, "output");
        var facts = new LayerFacts(Label, isConv, groups, weight.QParams, hasOutputPadding);
        profile = EngineProfiles.Get(engine, options.TorchVersion).Resolve(facts, options.TorchVersion);
        profile.CheckWeight(facts);
    }

    public LayerOptions Options { get; }

    public string Name => Options.Name;

    /// <summary>qint8; output channels first (second in transposed convolutions).</summary>
    public QuantizedTensor Weight { get; }

    /// <summary>float32, one value per output channel, or null: PyTorch keeps it float. What the engine makes of it is <see cref="QuantizedBias"/>.</summary>
    public float[]? Bias { get; }

    public QParams InputQParams { get; }

    public QParams OutputQParams { get; }

    public double InputScale => InputQParams.Scales[0];

    public int InputZeroPoint => InputQParams.ZeroPoints[0];

    public double OutputScale => OutputQParams.Scales[0];

    public int OutputZeroPoint => OutputQParams.ZeroPoints[0];

    /// <summary>The engine that was asked for.</summary>
    public EngineKind Engine { get; }

    /// <summary>The engine whose arithmetic runs: x86 hands each layer to onednn or fbgemm.</summary>
    public EngineKind EffectiveEngine => profile.Kind;

    public bool Relu => Options.Relu || Options.Relu6;

    public int OutputChannels { get; }

    /// <summary>Input scale x weight scale per output channel: the real value of one accumulator step. float32 values.</summary>
    public double[] BiasScale
    {
        get
        {
            var scale = new double[OutputChannels];
            for (int c = 0; c < scale.Length; c++)
                scale[c] = InputQParams.Scales[0] * WeightScale(c);
            return scale;
        }
    }

    /// <summary>The int32 bias as the engine sees it (scale <see cref="BiasScale"/>, zero point 0); null where the engine keeps it float, or without bias.</summary>
    public int[]? QuantizedBias => Bias is null ? null : (int[]?)Requantizer.IntegerBias?.Clone();

    /// <summary>How many times the bias fits into int32, per output channel: (2^31 - 1) / |bias / BiasScale|. Below 1 it does not fit; infinite for a zero bias.</summary>
    public double[] BiasHeadroom
    {
        get
        {
            double[] headroom = BiasScale;
            for (int c = 0; c < headroom.Length; c++)
                headroom[c] = int.MaxValue / Math.Abs((Bias?[c] ?? 0.0) / headroom[c]);
            return headroom;
        }
    }

    /// <summary>What -Verbose shows.</summary>
    public abstract string KernelName { get; }

    /// <summary>The formula for this layer's own input parameters.</summary>
    public abstract Requantizer Requantizer { get; }

    /// <summary>Quantizes by the engine's rule and runs.</summary>
    public QuantizedTensor Run(Tensor x) => Run(QuantizeInput(x));

    /// <summary>Runs on integers. As in PyTorch, the tensor's own scale and zero point count, whatever the layer was calibrated for.</summary>
    /// <exception cref="QuantException">ShapeMismatch, UnsupportedDType.</exception>
    public abstract QuantizedTensor Run(QuantizedTensor x);

    /// <summary>float32 to the layer's input integers by the engine's rule (PyTorch multiplies by the reciprocal, ONNX divides).</summary>
    public QuantizedTensor QuantizeInput(Tensor x) => Quantizer.Quantize(x, InputQParams, profile.QuantizesByDivision);

    protected string Label => Name.Length > 0 ? $"Layer '{Name}'" : "The layer";

    protected Requantizer CreateRequantizer(QParams input, bool biasPackedThroughFloat)
    {
        (int low, int high) = OutputQParams.DType.Range();
        if (Options.Relu6)
            high = Quantizer.QuantizeTorch(6f, 1f / OutputQParams.Scales[0], OutputZeroPoint, low, high);
        if (Options.Limits is { } limits)
            (low, high) = (Math.Max(low, limits.Low), Math.Min(high, limits.High));
        return profile.CreateRequantizer(new RequantizationSpec
        {
            InputScale = input.Scales[0],
            WeightScales = Weight.QParams.Scales.ToArray(),
            PerChannelWeight = Weight.QParams.IsPerChannel,
            Bias = Bias,
            // In steps of the layer's own input scale; with another one, its float32 value counts.
            IntegerBias = input.Scales[0] == InputQParams.Scales[0] ? integerBias : null,
            OutputChannels = OutputChannels,
            OutputScale = OutputQParams.Scales[0],
            OutputZeroPoint = OutputZeroPoint,
            OutputMin = low,
            OutputMax = high,
            Relu = Relu,
            BiasPackedThroughFloat = biasPackedThroughFloat,
            Compat = Options.Compat,
        });
    }

    /// <summary>The engine's formula for other channels.</summary>
    protected Requantizer Expand(RequantizationSpec spec) => profile.CreateRequantizer(spec);

    /// <summary>The real values of an int32 bias: steps of input scale x weight scale, float32.</summary>
    /// <exception cref="QuantException">ShapeMismatch.</exception>
    protected static float[] BiasValues(int[] bias, QuantizedTensor weight, QParams input)
    {
        if (weight.QParams.Scales.Length != 1 && weight.QParams.Scales.Length != bias.Length)
            throw new QuantException(ErrorIds.ShapeMismatch, $"A bias of {bias.Length} values does not fit {weight.QParams.Scales.Length} weight scales.", bias);
        var values = new float[bias.Length];
        for (int c = 0; c < values.Length; c++)
            values[c] = bias[c] * (input.Scales[0] * weight.QParams.Scales[weight.QParams.Scales.Length == 1 ? 0 : c]);
        return values;
    }

    /// <summary>0x80 turns qint8 bytes into quint8 ones with the zero point moved by 128.</summary>
    protected static byte FlipOf(QParams input) => input.DType == QDType.QInt8 ? (byte)0x80 : (byte)0;

    protected static int FlippedZeroPoint(QParams input) => input.ZeroPoints[0] + (input.DType == QDType.QInt8 ? 128 : 0);

    protected int[] WeightZeroPoints()
    {
        var zeroPoints = new int[OutputChannels];
        for (int c = 0; c < zeroPoints.Length; c++)
            zeroPoints[c] = Weight.QParams.ZeroPoints[Weight.QParams.IsPerChannel ? c : 0];
        return zeroPoints;
    }

    protected ReadOnlyMemory<sbyte> WeightIntegers() => Weight.SBytes.ToArray();

    protected void CheckActivation(QParams qparams, string which)
    {
        if (qparams.IsPerChannel || !qparams.DType.IsEightBit())
            throw new QuantException(ErrorIds.UnsupportedDType, $"{Label}: the {which} is {qparams}; it has to be quint8 or qint8, per tensor.");
    }

    private float WeightScale(int channel) => Weight.QParams.Scales[Weight.QParams.IsPerChannel ? channel : 0];
}
