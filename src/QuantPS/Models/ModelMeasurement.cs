namespace QuantPS.Models;

/// <summary>How well and how fast a model does on labelled samples.</summary>
public sealed record ModelMeasurement
{
    /// <summary>Name of the model.</summary>
    public required string Model { get; init; }

    /// <summary>"float", "QDQ" or "QOperator" of an ONNX model, or the engine of a quantized one.</summary>
    public required string Arithmetic { get; init; }

    /// <summary>What ran it.</summary>
    public required ModelRuntime Runtime { get; init; }

    /// <summary>Number of samples.</summary>
    public required long Samples { get; init; }

    /// <summary>Share of samples whose largest output is the label, in percent; null without labels.</summary>
    public required double? Top1 { get; init; }

    /// <summary>Milliseconds for one sample: the median over the calls of time divided by samples in the call.</summary>
    public required double LatencyMs { get; init; }

    /// <summary>Samples in a call: the first dimension of the tensors.</summary>
    public required int BatchSize { get; init; }
}
