namespace QuantPS.Engine.Numerics.Requantization;

/// <summary>Every step from an accumulator to an output integer, for one output.</summary>
public sealed record RequantizationTrace
{
    /// <summary>Sum of (x - z_x)(w - z_w), int32.</summary>
    public required int Accumulator { get; init; }

    /// <summary>The bias as an int32 in units of input scale x weight scale, where the engine makes one.</summary>
    public int? IntegerBias { get; init; }

    /// <summary>The bias as the float32 that the engine adds, where it keeps one (in the units that the formula uses).</summary>
    public float? FloatBias { get; init; }

    /// <summary>The accumulator with the bias in it, as float32, before scaling.</summary>
    public required float Biased { get; init; }

    /// <summary>float32 factor from accumulator steps to output steps.</summary>
    public required float Multiplier { get; init; }

    /// <summary>The value in output steps just before it is rounded.</summary>
    public required float BeforeRounding { get; init; }

    /// <summary>The integer after rounding; the zero point is in it only where the engine adds it before.</summary>
    public required int Rounded { get; init; }

    /// <summary>Whether the output zero point was added before rounding (oneDNN) or after (all others).</summary>
    public required bool ZeroPointBeforeRounding { get; init; }

    /// <summary>The output integer, after zero point and clamping.</summary>
    public required int Output { get; init; }

    /// <summary>The formula, in the engine's own order.</summary>
    public required string Formula { get; init; }
}
