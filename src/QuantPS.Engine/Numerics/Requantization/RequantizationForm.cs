namespace QuantPS.Engine.Numerics.Requantization;

/// <summary>How a formula ends.</summary>
public enum RequantizationTail
{
    /// <summary>Round (out of range gives INT32_MIN), clamp to [low - z, high - z], add z. FBGEMM, QNNPACK.</summary>
    RoundClampAdd,

    /// <summary>Clamp as float to [low - z, high - z], round, add z. ONNX Runtime.</summary>
    ClampRoundAdd,

    /// <summary>Add z as float, clamp to [low, high], round. oneDNN.</summary>
    AddClampRound,
}

/// <summary>A requantizer's formula as data, for kernels that run it on vectors. Steps that are null are left out; everything is float32.</summary>
/// <remarks>v = f32(acc + IntegerBias); v = fma(FusedBias, FusedFactor, v); v += AddBefore; v *= Multiplier; v += AddAfter; v *= Factor; then the tail.
/// ReLU is in <see cref="Low"/>: clamping at the zero point is the same, because rounding is monotonic.</remarks>
public sealed record RequantizationForm
{
    /// <summary>Per channel, added to the accumulator with wrap-around.</summary>
    public int[]? IntegerBias { get; init; }

    /// <summary>Per channel; with <see cref="FusedFactor"/> one fused multiply-add.</summary>
    public float[]? FusedBias { get; init; }

    /// <inheritdoc cref="FusedBias"/>
    public float[]? FusedFactor { get; init; }

    /// <summary>Per channel.</summary>
    public float[]? AddBefore { get; init; }

    /// <summary>Per channel.</summary>
    public required float[] Multiplier { get; init; }

    /// <summary>Per channel.</summary>
    public float[]? AddAfter { get; init; }

    /// <summary>One for all channels.</summary>
    public float? Factor { get; init; }

    public required RequantizationTail Tail { get; init; }

    /// <summary>Smallest output integer.</summary>
    public required int Low { get; init; }

    /// <summary>Largest output integer.</summary>
    public required int High { get; init; }

    public required int ZeroPoint { get; init; }
}
