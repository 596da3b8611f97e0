namespace QuantPS.Engine.Numerics.Requantization;

/// <summary>oneDNN 3 (PyTorch 2): the bias is added in real units, the zero point before rounding.</summary>
/// <remarks>
/// Source: PyTorch qconv.cpp PackedConvWeightsOnednn::apply_impl; ideep operators/conv.hpp; oneDNN jit_avx512_core_x8s8s32x_conv_kernel.cpp store_output.
/// The scales travel as reciprocals: sx' = 1 / f32(1/s_x), sy' = 1 / f32(1/s_y), k = 1 / sy' (1 where the reciprocal is exactly 1).
/// v = f32(acc) * (sx' * s_w); v += bias; ReLU: max(v, 0); v *= k; v += z_y; clamp; rne.
/// </remarks>
public sealed class OneDnnRequantizer : Requantizer
{
    private readonly float[] accumulatorScale;
    private readonly float outputFactor;

    public OneDnnRequantizer(RequantizationSpec spec)
        : base(spec)
    {
        float inverseInput = (float)(1.0 / spec.InputScale);
        float inputScale = inverseInput == 1f ? 1f : 1f / inverseInput;
        float inverseOutput = (float)(1.0 / spec.OutputScale);
        outputFactor = inverseOutput == 1f ? 1f : 1f / (1f / inverseOutput);
        accumulatorScale = PerChannel(c => inputScale * spec.WeightScale(c));
    }

    private float Real(int accumulator, int channel)
    {
        float v = accumulator * accumulatorScale[channel];
        if (Spec.Bias is { } bias)
            v += bias[channel];
        return Spec.Relu ? ReluOfFloat(v) : v;
    }

    /// <inheritdoc/>
    public override RequantizationForm Form => new()
    {
        Multiplier = accumulatorScale,
        AddAfter = Spec.Bias,
        Factor = outputFactor,
        Tail = RequantizationTail.AddClampRound,
        Low = OutputLow,
        High = Spec.OutputMax,
        ZeroPoint = Spec.OutputZeroPoint,
    };

    public override int Apply(int accumulator, int channel) => ClampThenRound(Real(accumulator, channel) * outputFactor);

    public override RequantizationTrace Trace(int accumulator, int channel)
    {
        float v = Real(accumulator, channel) * outputFactor + Spec.OutputZeroPoint;
        int output = Apply(accumulator, channel);
        return new()
        {
            Accumulator = accumulator,
            FloatBias = Spec.Bias?[channel],
            Biased = accumulator * accumulatorScale[channel] + (Spec.Bias?[channel] ?? 0f),
            Multiplier = accumulatorScale[channel] * outputFactor,
            BeforeRounding = v,
            Rounded = output,
            ZeroPointBeforeRounding = true,
            Output = output,
            Formula = "rne(clamp((acc*s_x*s_w + bias)/s_y + z_y))",
        };
    }
}
