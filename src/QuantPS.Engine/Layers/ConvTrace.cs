using QuantPS.Engine.Numerics;
using QuantPS.Engine.Numerics.Requantization;

namespace QuantPS.Engine.Layers;

/// <summary>One product of a convolution window.</summary>
/// <param name="Channel">Input channel.</param>
/// <param name="Position">Position in the input, one number per spatial dimension; outside the image where <paramref name="IsPadding"/>.</param>
/// <param name="IsPadding">Outside the image: the input is taken to be the zero point.</param>
/// <param name="Input">Input integer.</param>
/// <param name="Weight">Weight integer.</param>
/// <param name="Product">(input - z_x)(weight - z_w).</param>
public sealed record ConvTap(int Channel, int[] Position, bool IsPadding, int Input, int Weight, int Product)
{
    public override string ToString() => $"c{Channel} [{string.Join(",", Position)}]{(IsPadding ? " pad" : "")}: {Input} * {Weight} -> {Product}";
}

/// <summary>Why one output integer of a quantized convolution is what it is: every step, from the taps to the clamp.</summary>
public sealed record ConvTrace
{
    /// <summary>Name of the layer.</summary>
    public required string Layer { get; init; }

    /// <summary>The engine whose arithmetic ran.</summary>
    public required EngineKind Engine { get; init; }

    /// <summary>Index of the output: n, c, spatial...</summary>
    public required int[] At { get; init; }

    /// <summary>Every product of the window.</summary>
    public required ConvTap[] Taps { get; init; }

    /// <summary>Sum of input * weight, raw integers, padding included as z_x.</summary>
    public required int RawDotProduct { get; init; }

    /// <summary>-z_x * sum(weight).</summary>
    public required int InputZeroPointCorrection { get; init; }

    /// <summary>-z_w * sum(input).</summary>
    public required int WeightZeroPointCorrection { get; init; }

    /// <summary>+K * z_x * z_w.</summary>
    public required int CrossCorrection { get; init; }

    /// <summary>Sum of (input - z_x)(weight - z_w): the raw dot product and its three corrections.</summary>
    public required int Accumulator { get; init; }

    /// <summary>Real value of one accumulator step: input scale x weight scale.</summary>
    public required double BiasScale { get; init; }

    /// <summary>The bias as the layer keeps it, float32; null without one.</summary>
    public required float? Bias { get; init; }

    /// <summary>bias / BiasScale: the bias in accumulator steps, before anything is rounded.</summary>
    public required double BiasInSteps { get; init; }

    /// <summary>The int32 that the engine makes of the bias; null where it stays float.</summary>
    public required int? IntegerBias { get; init; }

    /// <summary>What the engine loses by its bias, in real units: bias as taken in, less the float bias.</summary>
    public required double BiasError { get; init; }

    /// <summary>How many times the bias fits into int32.</summary>
    public required double BiasHeadroom { get; init; }

    /// <summary>Accumulator with bias, as the float32 that is scaled next (accumulator steps; real units for onednn).</summary>
    public required float Biased { get; init; }

    /// <summary>float32 factor from accumulator steps to output steps.</summary>
    public required float Multiplier { get; init; }

    /// <summary>Output steps before rounding.</summary>
    public required float BeforeRounding { get; init; }

    /// <summary>After rounding half to even.</summary>
    public required int Rounded { get; init; }

    /// <summary>Output zero point.</summary>
    public required int ZeroPoint { get; init; }

    /// <summary>True where the zero point is added before rounding (onednn).</summary>
    public required bool ZeroPointBeforeRounding { get; init; }

    /// <summary>The output integer.</summary>
    public required int Output { get; init; }

    /// <summary>The output as a real number: scale * (output - zero point).</summary>
    public required double OutputReal { get; init; }

    /// <summary>The float layer's value for the same taps: sum of dequantized input * dequantized weight + bias (then ReLU), in double, never rounded.</summary>
    public required double FloatValue { get; init; }

    /// <summary>OutputReal - FloatValue.</summary>
    public double Error => OutputReal - FloatValue;

    /// <summary>The engine's formula, in its own order.</summary>
    public required string Formula { get; init; }

    internal static ConvTrace Create(QuantizedConv conv, int[] at, int channel, ConvTap[] taps, int inputZeroPoint, int weightZeroPoint, float inputScale, float weightScale, RequantizationTrace steps)
    {
        int raw = 0, sumInput = 0, sumWeight = 0;
        foreach (ConvTap tap in taps)
        {
            unchecked
            {
                raw += tap.Input * tap.Weight;
                sumInput += tap.Input;
                sumWeight += tap.Weight;
            }
        }
        float? bias = conv.Bias?[channel];
        double stepReal = inputScale * weightScale;
        double outputScale = conv.OutputScale;
        double real = (double)inputScale * weightScale * steps.Accumulator + (bias ?? 0f);
        return new ConvTrace
        {
            Layer = conv.Name,
            Engine = conv.EffectiveEngine,
            At = at,
            Taps = taps,
            RawDotProduct = raw,
            InputZeroPointCorrection = unchecked(-inputZeroPoint * sumWeight),
            WeightZeroPointCorrection = unchecked(-weightZeroPoint * sumInput),
            CrossCorrection = unchecked(taps.Length * inputZeroPoint * weightZeroPoint),
            Accumulator = steps.Accumulator,
            BiasScale = stepReal,
            Bias = bias,
            BiasInSteps = (bias ?? 0f) / stepReal,
            IntegerBias = bias is null ? null : steps.IntegerBias,
            BiasError = bias is null || steps.IntegerBias is not int b ? 0 : b * stepReal - bias.Value,
            BiasHeadroom = int.MaxValue / Math.Abs((bias ?? 0f) / stepReal),
            Biased = steps.Biased,
            Multiplier = steps.Multiplier,
            BeforeRounding = steps.BeforeRounding,
            Rounded = steps.Rounded,
            ZeroPoint = conv.OutputZeroPoint,
            ZeroPointBeforeRounding = steps.ZeroPointBeforeRounding,
            Output = steps.Output,
            OutputReal = outputScale * (steps.Output - conv.OutputZeroPoint),
            FloatValue = conv.Relu ? Math.Max(real, 0) : real,
            Formula = steps.Formula,
        };
    }

    public override string ToString() => $"{Layer} [{string.Join(",", At)}] = {Output} ({Engine})";
}
