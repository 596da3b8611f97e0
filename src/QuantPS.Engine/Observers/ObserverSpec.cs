using System.Text.Json.Serialization;
using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Observers;

/// <summary>An observer with its arguments, not yet made: PyTorch's Observer.with_args(...). Immutable.</summary>
public sealed record ObserverSpec
{
    /// <summary>eps of torch.finfo(float32), 2^-23: the smallest scale.</summary>
    public const float DefaultEps = 1.1920928955078125e-07f;

    [JsonRequired]
    public ObserverKind Kind { get; init; } = ObserverKind.MinMax;

    [JsonRequired]
    public QDType DType { get; init; } = QDType.QUInt8;

    [JsonRequired]
    public QScheme Scheme { get; init; } = QScheme.PerTensorAffine;

    /// <summary>One bit less: 0..127, -64..63. Keeps pairs of 8-bit products inside int16 on CPUs without VNNI.</summary>
    [JsonRequired]
    public bool ReduceRange { get; init; }

    /// <summary>Custom range; used only when both ends are given.</summary>
    public int? QuantMin { get; init; }

    public int? QuantMax { get; init; }

    /// <summary>Smallest scale.</summary>
    [JsonRequired]
    public float Eps { get; init; } = DefaultEps;

    /// <summary>Weight of the newest batch, for the moving averages.</summary>
    [JsonRequired]
    public double AveragingConstant { get; init; } = 0.01;

    /// <summary>Channel axis, for the per-channel observers. ONNX Runtime's activations have it at 1.</summary>
    [JsonRequired]
    public int ChannelAxis { get; init; }

    /// <summary>Number of bins, for histograms.</summary>
    [JsonRequired]
    public int Bins { get; init; } = 2048;

    /// <summary>Whose histogram algorithm.</summary>
    [JsonRequired]
    public TorchVersion TorchVersion { get; init; } = TorchVersion.V2;

    /// <summary>The scale, for FixedQParams.</summary>
    public float? Scale { get; init; }

    /// <summary>The zero point, for FixedQParams.</summary>
    public int? ZeroPoint { get; init; }

    /// <summary>For OrtMinMax: the mean of the batches' extremes instead of the extremes of all (ONNX Runtime's CalibMovingAverage).</summary>
    [JsonRequired]
    public bool Averaging { get; init; }

    /// <summary>For OrtMinMax: how many batches one collect() of ONNX Runtime takes; 0 means all of them, which is what quantize_static
    /// does.</summary>
    [JsonRequired]
    public int CollectSize { get; init; }

    /// <summary>For OrtMinMax and Percentile: whether the range is made symmetric around 0 (ONNX Runtime's CalibTensorRangeSymmetric). Null
    /// is the
    /// calibrator's own default: yes for Percentile, no for OrtMinMax.</summary>
    public bool? SymmetricRange { get; init; }

    /// <summary>For Percentile: the share of the values to cover, above 0 and up to 100.</summary>
    [JsonRequired]
    public double Percentile { get; init; } = 99.999;

    /// <summary>For Entropy: the levels that a candidate range is quantized to, 128 as in ONNX Runtime. (Its own 128 <see cref="Bins"/> leave
    /// the search
    /// a single candidate, the whole range; more bins make it a search.)</summary>
    [JsonRequired]
    public int QuantizedBins { get; init; } = 128;

    /// <summary>The integers that these arguments allow.</summary>
    /// <exception cref="QuantPS.Engine.Errors.QuantException">InvalidQuantizationRange.</exception>
    public QuantRange Range => QuantRange.Create(DType, ReduceRange, QuantMin, QuantMax);

    /// <summary>Makes a fresh observer that has seen nothing.</summary>
    public Observer Create() => ObserverRegistry.Create(this);

    public override string ToString() =>
        $"{Kind}({DType.TorchName()}, {Scheme.TorchName()}" + (Scale is float s ? $", scale {s}, zero point {ZeroPoint}" : "") + (ReduceRange ? ", reduce_range" : "") + (QuantMin is int lo && QuantMax is int hi ? $", {lo}..{hi}" : "") + ")";
}
