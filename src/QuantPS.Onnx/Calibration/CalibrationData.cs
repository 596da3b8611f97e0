using QuantPS.Engine.Configuration;
using QuantPS.Engine.Observers;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Quantization;

namespace QuantPS.Onnx.Calibration;

/// <summary>A float model and what was observed while it ran.</summary>
public sealed record CalibrationData
{
    /// <summary>The model as it was given.</summary>
    public required OnnxModel Original { get; init; }

    public required QConfig QConfig { get; init; }

    /// <summary>Which nodes are to be quantized; holds the float model after the passes.</summary>
    public required QuantizationPlan Plan { get; init; }

    /// <summary>The float model after the passes: what was run.</summary>
    public OnnxModel Model => Plan.Model;

    /// <summary>An observer per value that needs parameters of its own.</summary>
    public required IReadOnlyDictionary<string, Observer> Observers { get; init; }

    /// <summary>Samples seen: the first dimension of each batch, summed up.</summary>
    public long SampleCount { get; init; }

    /// <summary>Batches seen.</summary>
    public long BatchCount { get; init; }
}
