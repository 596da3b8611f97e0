namespace QuantPS.Engine.Numerics.Requantization;

/// <summary>ONNX Runtime's QLinearConv: the bias is an int32 initializer, made offline with scale s_x * s_w.</summary>
/// <remarks>Source: onnxruntime core/providers/cpu/quantization/qlinearconv.cc ComputeOutputScale, core/mlas/lib/quantize.cpp;
/// quantization/base_quantizer.py quantize_bias_static. B = clip(rne(double(bias) / double(f32(s_x*s_w)))); m = (s_x*s_w) / s_y;
/// v = f32(acc + B) * m, clamped to [min - z_y, max - z_y] as float32; rne; + z_y.</remarks>
public sealed class OnnxRuntimeRequantizer : Requantizer
{
    private readonly float[] multiplier;
    private readonly int[] integerBias;

    public OnnxRuntimeRequantizer(RequantizationSpec spec)
        : base(spec)
    {
        multiplier = PerChannel(c => spec.InputScale * spec.WeightScale(c) / spec.OutputScale);
        integerBias = spec.IntegerBias ?? new int[spec.OutputChannels];
        if (spec.IntegerBias is null && spec.Bias is { } bias)
        {
            for (int c = 0; c < bias.Length; c++)
                integerBias[c] = QuantizeBias(bias[c], spec.InputScale * spec.WeightScale(c));
        }
    }

    /// <inheritdoc/>
    public override int[]? IntegerBias => integerBias;

    /// <summary>float32 bias to int32: divided in double, rounded half to even, saturated.</summary>
    public static int QuantizeBias(float bias, float biasScale)
    {
        double q = Math.Round((double)bias / biasScale, MidpointRounding.ToEven);
        return double.IsNaN(q) ? int.MinValue : (int)Math.Clamp(q, int.MinValue, int.MaxValue);
    }

    private float Clamped(float v)
    {
        float low = OutputLow - Spec.OutputZeroPoint, high = Spec.OutputMax - Spec.OutputZeroPoint;
        v = v > low ? v : low;
        return v < high ? v : high;
    }

    /// <inheritdoc/>
    public override RequantizationForm Form => new()
    {
        IntegerBias = integerBias,
        Multiplier = multiplier,
        Tail = RequantizationTail.ClampRoundAdd,
        Low = OutputLow,
        High = Spec.OutputMax,
        ZeroPoint = Spec.OutputZeroPoint,
    };

    public override int Apply(int accumulator, int channel) =>
        Rounding.ConvertToInt32(Clamped(unchecked(accumulator + integerBias[channel]) * multiplier[channel])) + Spec.OutputZeroPoint;

    public override RequantizationTrace Trace(int accumulator, int channel)
    {
        float biased = unchecked(accumulator + integerBias[channel]);
        float v = biased * multiplier[channel];
        return new()
        {
            Accumulator = accumulator,
            IntegerBias = integerBias[channel],
            Biased = biased,
            Multiplier = multiplier[channel],
            BeforeRounding = v,
            Rounded = Rounding.ConvertToInt32(Clamped(v)),
            ZeroPointBeforeRounding = false,
            Output = Apply(accumulator, channel),
            Formula = "rne(clamp((acc + int32(bias/(s_x*s_w))) * (s_x*s_w/s_y))) + z_y",
        };
    }
}
