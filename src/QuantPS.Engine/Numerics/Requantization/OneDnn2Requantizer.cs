namespace QuantPS.Engine.Numerics.Requantization;

/// <summary>oneDNN 2.6 (torch 1.13): the float bias is brought to accumulator steps first, one combined output scale, the zero point before rounding.</summary>
/// <remarks>Source: ideep pytorch-rls-v2.6.0 include/ideep/operators/conv.hpp. bsc = f32(1/s_x) * f32(1/s_w); osc = f32(1/s_y) / bsc;
/// v = (f32(acc) + bias * bsc) * osc; ReLU: max(v, 0); v += z_y; clamp; rne.</remarks>
public sealed class OneDnn2Requantizer : Requantizer
{
    private readonly float[] multiplier;
    private readonly float[]? biasInSteps;

    public OneDnn2Requantizer(RequantizationSpec spec)
        : base(spec)
    {
        float inverseInput = (float)(1.0 / spec.InputScale);
        float inverseOutput = (float)(1.0 / spec.OutputScale);
        float BiasScale(int c) => inverseInput * (float)(1.0 / spec.WeightScale(c));
        multiplier = PerChannel(c => inverseOutput / BiasScale(c));
        if (spec.Bias is { } bias)
            biasInSteps = PerChannel(c => bias[c] * BiasScale(c));
    }

    private float Biased(int accumulator, int channel) => biasInSteps is null ? accumulator : accumulator + biasInSteps[channel];

    private float Scaled(int accumulator, int channel)
    {
        float v = Biased(accumulator, channel) * multiplier[channel];
        return Spec.Relu ? ReluOfFloat(v) : v;
    }

    /// <inheritdoc/>
    public override RequantizationForm Form => new()
    {
        AddBefore = biasInSteps,
        Multiplier = multiplier,
        Tail = RequantizationTail.AddClampRound,
        Low = OutputLow,
        High = Spec.OutputMax,
        ZeroPoint = Spec.OutputZeroPoint,
    };

    public override int Apply(int accumulator, int channel) => ClampThenRound(Scaled(accumulator, channel));

    public override RequantizationTrace Trace(int accumulator, int channel)
    {
        int output = Apply(accumulator, channel);
        return new()
        {
            Accumulator = accumulator,
            FloatBias = biasInSteps?[channel],
            Biased = Biased(accumulator, channel),
            Multiplier = multiplier[channel],
            BeforeRounding = Scaled(accumulator, channel) + Spec.OutputZeroPoint,
            Rounded = output,
            ZeroPointBeforeRounding = true,
            Output = output,
            Formula = "rne(clamp((acc + bias/s_x/s_w) * (s_x*s_w/s_y) + z_y))",
        };
    }
}
