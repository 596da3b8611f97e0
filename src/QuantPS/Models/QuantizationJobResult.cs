namespace QuantPS.Models;

/// <summary>What became of a model of a job.</summary>
public enum JobStatus
{
    /// <summary>Quantized and written.</summary>
    Done,

    /// <summary>Its output was there already.</summary>
    Skipped,

    /// <summary>Not quantized; nothing was written.</summary>
    Failed,
}

/// <summary>One model of Invoke-QuantizationJob. What was not measured, because the model was skipped or failed, is null.</summary>
public sealed record QuantizationJobResult
{
    /// <summary>Name of the model: its file's, without extension.</summary>
    public required string Model { get; init; }

    /// <summary>What became of it.</summary>
    public required JobStatus Status { get; init; }

    /// <summary>The float model's file.</summary>
    public required string Source { get; init; }

    /// <summary>The quantized model's file.</summary>
    public required string Destination { get; init; }

    /// <summary>Nodes that run in int8, of all: "12/12".</summary>
    public string? Quantized { get; init; }

    /// <summary>Samples that it was calibrated with and compared on.</summary>
    public long? Samples { get; init; }

    /// <summary>Signal to quantization noise ratio of the outputs against the float model's, dB; see <see cref="LayerError.SqnrDb"/>. Null also for
    /// a model without float outputs.</summary>
    public double? SqnrDb { get; init; }

    /// <summary>Cosine of the angle between the float and the quantized outputs.</summary>
    public double? Cosine { get; init; }

    /// <summary>Largest absolute difference of an output element.</summary>
    public double? MaxError { get; init; }

    /// <summary>Bytes of the float model.</summary>
    public long? FloatSizeBytes { get; init; }

    /// <summary>Bytes of the quantized model.</summary>
    public long? SizeBytes { get; init; }

    /// <summary>How long it took.</summary>
    public TimeSpan Elapsed { get; init; }

    /// <summary>What the user should know of the quantization: values never observed, biases beyond int32.</summary>
    public string[] Warnings { get; init; } = [];

    /// <summary>Why it failed.</summary>
    public string? Error { get; init; }

    /// <inheritdoc/>
    public override string ToString() => $"{Model}: {Status}";
}
