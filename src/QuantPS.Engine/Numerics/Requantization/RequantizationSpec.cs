namespace QuantPS.Engine.Numerics.Requantization;

/// <summary>Everything that decides how an int32 accumulator becomes an output integer, known when a layer is planned.</summary>
public sealed record RequantizationSpec
{
    public required float InputScale { get; init; }

    /// <summary>One scale, or one per output channel.</summary>
    public required float[] WeightScales { get; init; }

    /// <summary>Whether the weight's scheme is per channel; FBGEMM uses another formula then, even for one channel.</summary>
    public required bool PerChannelWeight { get; init; }

    /// <summary>float32, one per output channel, or null.</summary>
    public required float[]? Bias { get; init; }

    /// <summary>The bias as int32 in steps of input scale x weight scale, one per output channel, where a model holds it like that: ONNX Runtime's formula
    /// takes it as it is, in place of <see cref="Bias"/>. Null otherwise.</summary>
    public int[]? IntegerBias { get; init; }

    public required int OutputChannels { get; init; }

    public required float OutputScale { get; init; }

    public required int OutputZeroPoint { get; init; }

    /// <summary>Smallest and largest output integer: the dtype's, or what a fused activation leaves of them.</summary>
    public required int OutputMin { get; init; }

    public required int OutputMax { get; init; }

    /// <summary>Clamp at the zero point, so that nothing below real 0 is left.</summary>
    public bool Relu { get; init; }

    /// <summary>The bias passes through QNNPACK's packing code for general convolutions (all but 1x1, stride 1, no padding, and linear).</summary>
    public bool BiasPackedThroughFloat { get; init; }

    /// <summary>Reproduce the engine's own defects.</summary>
    public bool Compat { get; init; }

    /// <summary>Weight scale of an output channel.</summary>
    public float WeightScale(int channel) => WeightScales.Length == 1 ? WeightScales[0] : WeightScales[channel];
}
