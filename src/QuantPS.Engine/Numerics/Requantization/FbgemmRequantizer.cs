namespace QuantPS.Engine.Numerics.Requantization;

/// <summary>FBGEMM: the float bias is divided by the accumulator's scale and added to the float accumulator; it never becomes an integer.</summary>
/// <remarks>
/// Source: FBGEMM include/fbgemm/OutputProcessing-inl.h ReQuantizeOutput, src/QuantUtilsAvx2.cc requantizeOutputProcessingAvx2;
/// PyTorch aten/native/quantized/cpu/qconv.cpp GetQuantizationParams. All float32, aw = s_x * s_w, m = aw / s_y:
/// per channel v = (acc + bias / aw) * m; per tensor v = fma(bias, 1 / aw, acc) * m, as the Linux build contracts it.
/// Then cvtps2dq, saturate to int16, add z_y saturating, saturate to 8 bits. v of 2^31 or more gives the minimum.
/// </remarks>
public sealed class FbgemmRequantizer : Requantizer
{
    private readonly float[] multiplier;
    private readonly float[]? biasInSteps;
    private readonly float[]? reciprocal;

    public FbgemmRequantizer(RequantizationSpec spec)
        : base(spec)
    {
        multiplier = PerChannel(c => spec.InputScale * spec.WeightScale(c) / spec.OutputScale);
        if (spec.Bias is not { } bias)
            return;
        if (spec.PerChannelWeight)
            biasInSteps = PerChannel(c => bias[c] / (spec.InputScale * spec.WeightScale(c)));
        else
            reciprocal = PerChannel(c => 1f / (spec.InputScale * spec.WeightScale(c)));
    }

    private float Biased(int accumulator, int channel)
    {
        if (biasInSteps is not null)
            return accumulator + biasInSteps[channel];
        return reciprocal is null ? accumulator : MathF.FusedMultiplyAdd(Spec.Bias![channel], reciprocal[channel], accumulator);
    }

    /// <inheritdoc/>
    public override RequantizationForm Form => new()
    {
        FusedBias = reciprocal is null ? null : Spec.Bias,
        FusedFactor = reciprocal,
        AddBefore = biasInSteps,
        Multiplier = multiplier,
        Tail = RequantizationTail.RoundClampAdd,
        Low = OutputLow,
        High = Spec.OutputMax,
        ZeroPoint = Spec.OutputZeroPoint,
    };

    public override int Apply(int accumulator, int channel) => PackSaturating(Biased(accumulator, channel) * multiplier[channel]);

    public override RequantizationTrace Trace(int accumulator, int channel)
    {
        float biased = Biased(accumulator, channel);
        float v = biased * multiplier[channel];
        return new()
        {
            Accumulator = accumulator,
            FloatBias = biasInSteps?[channel] ?? (reciprocal is null ? null : Spec.Bias![channel] * reciprocal[channel]),
            Biased = biased,
            Multiplier = multiplier[channel],
            BeforeRounding = v,
            Rounded = Rounding.ConvertToInt32(v),
            ZeroPointBeforeRounding = false,
            Output = Apply(accumulator, channel),
            Formula = Spec.Bias is null ? "rne(acc * (s_x*s_w/s_y)) + z_y" : "rne((acc + bias/(s_x*s_w)) * (s_x*s_w/s_y)) + z_y",
        };
    }
}
