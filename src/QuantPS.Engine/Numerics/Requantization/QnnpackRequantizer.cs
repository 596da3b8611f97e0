using QuantPS.Engine.Errors;

namespace QuantPS.Engine.Numerics.Requantization;

/// <summary>QNNPACK: the bias becomes an int32 with scale s_x * s_w and zero point 0, made when the input scale is known, and starts the accumulator.</summary>
/// <remarks>
/// Source: PyTorch aten/native/quantized/cpu/qconv.cpp PackedConvWeightsQnnp::apply_impl, QnnpackUtils.h generate_requantization_scales,
/// qnnpack/src/q8conv/4x4c2-sse2.c. b32 = sat32(rne(bias * f32(1 / f32(s_x*s_w)))); m = (s_w * s_x) * (1 / s_y);
/// v = f32(acc + b32) * m with int32 wrap-around; then as FBGEMM.
/// In compat mode: a bias saturated at 2147483647 turns into -2147483648 in general convolutions (pack.h carries it through a float).
/// </remarks>
public sealed class QnnpackRequantizer : Requantizer
{
    private readonly float[] multiplier;
    private readonly int[] integerBias;
    private readonly int[] packedBias;

    /// <exception cref="QuantException">InvalidRequantizationScale: a multiplier is zero, subnormal or not finite; the real engine throws too.</exception>
    public QnnpackRequantizer(RequantizationSpec spec, TorchVersion version)
        : base(spec)
    {
        float inverseOutput = 1f / spec.OutputScale;
        multiplier = PerChannel(c => spec.WeightScale(c) * spec.InputScale * inverseOutput);
        for (int c = 0; c < multiplier.Length; c++)
        {
            if (!(multiplier[c] > 0 && float.IsNormal(multiplier[c])))
                throw new QuantException(ErrorIds.InvalidRequantizationScale, $"QNNPACK needs a requantization scale (input scale x weight scale / output scale) that is finite, positive and normal; channel {c} has {multiplier[c]:G9}. Use another engine, or observe a wider range.");
        }
        QuantizeCompat kernel = version == TorchVersion.V1_13 && spec.Compat ? QuantizeCompat.Torch113 : QuantizeCompat.Torch2PerChannel;
        integerBias = new int[spec.OutputChannels];
        if (spec.Bias is { } bias)
        {
            for (int c = 0; c < bias.Length; c++)
                integerBias[c] = QuantizeCompatKernels.Quantize(kernel, bias[c], (float)((double)spec.InputScale * spec.WeightScale(c)), 0, QDType.QInt32);
        }
        packedBias = spec.Compat && spec.BiasPackedThroughFloat
            ? Array.ConvertAll(integerBias, b => b == int.MaxValue ? int.MinValue : b)
            : integerBias;
    }

    /// <inheritdoc/>
    public override int[]? IntegerBias => integerBias;

    /// <inheritdoc/>
    public override RequantizationForm Form => new()
    {
        IntegerBias = packedBias,
        Multiplier = multiplier,
        Tail = RequantizationTail.RoundClampAdd,
        Low = OutputLow,
        High = Spec.OutputMax,
        ZeroPoint = Spec.OutputZeroPoint,
    };

    public override int Apply(int accumulator, int channel) => PackSaturating(unchecked(accumulator + packedBias[channel]) * multiplier[channel]);

    public override RequantizationTrace Trace(int accumulator, int channel)
    {
        float biased = unchecked(accumulator + packedBias[channel]);
        float v = biased * multiplier[channel];
        return new()
        {
            Accumulator = accumulator,
            IntegerBias = packedBias[channel],
            Biased = biased,
            Multiplier = multiplier[channel],
            BeforeRounding = v,
            Rounded = Rounding.ConvertToInt32(v),
            ZeroPointBeforeRounding = false,
            Output = Apply(accumulator, channel),
            Formula = "rne((acc + int32(bias/(s_x*s_w))) * (s_w*s_x*(1/s_y))) + z_y",
        };
    }
}
