using QuantPS.Engine.Configuration;
using QuantPS.Onnx.Calibration;

namespace QuantPS.Models;

/// <summary>What was observed while a float model ran over calibration data. ConvertTo-Quantized makes a quantized model of it.</summary>
public sealed class Calibration
{
    internal Calibration(QModel model, CalibrationData data)
    {
        Model = model;
        Data = data;
    }

    /// <summary>The model's name.</summary>
    public string Name => Model.Name;

    /// <summary>The float model.</summary>
    public QModel Model { get; }

    /// <summary>The observers that were used, and the engine to quantize for.</summary>
    public QConfig QConfig => Data.QConfig;

    /// <summary>Samples seen: the first dimension of every tensor, summed up.</summary>
    public long Samples => Data.SampleCount;

    /// <summary>Tensors seen.</summary>
    public long Batches => Data.BatchCount;

    /// <summary>How many values of the graph were observed.</summary>
    public int Observed => Data.Observers.Count;

    /// <summary>What was done to the float model before it was calibrated, pass by pass: "FoldBatchNormalization x 9".</summary>
    public string[] Preparation => [.. Data.Model.Preparation.Select(p => p.ToString())];

    internal CalibrationData Data { get; }

    /// <inheritdoc/>
    public override string ToString() => $"{Name}: {Samples} samples, {Observed} values observed";
}
