using QuantPS.Onnx.Quantization;

namespace QuantPS.Onnx.Jobs;

/// <summary>What became of a model that was quantized and written.</summary>
public sealed record QuantizationOutcome
{
    /// <summary>The quantized model.</summary>
    public required QuantizedGraph Graph { get; init; }

    /// <summary>The error of its float outputs against the float model's, all outputs together; nothing is counted where no output is float.</summary>
    public required ErrorSums Error { get; init; }

    /// <summary>Samples that it was calibrated with and compared on.</summary>
    public required long Samples { get; init; }

    /// <summary>Bytes of the float model as one file.</summary>
    public required long FloatSizeBytes { get; init; }

    /// <summary>Bytes of the quantized model as one file.</summary>
    public required long SizeBytes { get; init; }

    /// <summary>What the user should know, of the quantization and of the file.</summary>
    public required IReadOnlyList<string> Warnings { get; init; }
}
