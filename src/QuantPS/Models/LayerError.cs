namespace QuantPS.Models;

/// <summary>How far a quantized layer's output is from the float network's, over all samples.</summary>
public sealed record LayerError
{
    /// <summary>Name of the node.</summary>
    public required string Layer { get; init; }

    /// <summary>The operator and what is fused into it.</summary>
    public required string Op { get; init; }

    /// <summary>Signal to quantization noise ratio, dB: 10 log10(sum of float squares / sum of squared differences). Infinite without any difference.</summary>
    public required double SqnrDb { get; init; }

    /// <summary>Cosine of the angle between the float and the quantized output, taken as vectors; 1 is the same direction.</summary>
    public required double Cosine { get; init; }

    /// <summary>Largest absolute difference of an element.</summary>
    public required double MaxError { get; init; }

    /// <summary>Elements compared.</summary>
    public required long Elements { get; init; }
}
