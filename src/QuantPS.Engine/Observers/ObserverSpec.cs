using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Observers;

/// <summary>An observer with its arguments, not yet made: PyTorch's Observer.with_args(...). Immutable.</summary>
public sealed record ObserverSpec
{
    /// <summary>eps of torch.finfo(float32), 2^-23: the smallest scale.</summary>
    public const float DefaultEps = 1.1920928955078125e-07f;

    public ObserverKind Kind { get; init; } = ObserverKind.MinMax;

    public QDType DType { get; init; } = QDType.QUInt8;

    public QScheme Scheme { get; init; } = QScheme.PerTensorAffine;

    /// <summary>One bit less: 0..127, -64..63. Keeps pairs of 8-bit products inside int16 on CPUs without VNNI.</summary>
    public bool ReduceRange { get; init; }

    /// <summary>Custom range; used only when both ends are given.</summary>
    public int? QuantMin { get; init; }

    public int? QuantMax { get; init; }

    /// <summary>Smallest scale.</summary>
    public float Eps { get; init; } = DefaultEps;

    /// <summary>Weight of the newest batch, for the moving averages.</summary>
    public double AveragingConstant { get; init; } = 0.01;

    /// <summary>Channel axis, for the per-channel observers.</summary>
    public int ChannelAxis { get; init; }

    /// <summary>Number of bins, for histograms.</summary>
    public int Bins { get; init; } = 2048;

    /// <summary>Whose histogram algorithm.</summary>
    public TorchVersion TorchVersion { get; init; } = TorchVersion.V2;

    /// <summary>The integers that these arguments allow.</summary>
    /// <exception cref="QuantPS.Engine.Errors.QuantException">InvalidQuantizationRange.</exception>
    public QuantRange Range => QuantRange.Create(DType, ReduceRange, QuantMin, QuantMax);

    /// <summary>Makes a fresh observer that has seen nothing.</summary>
    public Observer Create() => ObserverRegistry.Create(this);

    public override string ToString() =>
        $"{Kind}({DType.TorchName()}, {Scheme.TorchName()}" + (ReduceRange ? ", reduce_range" : "") + (QuantMin is int lo && QuantMax is int hi ? $", {lo}..{hi}" : "") + ")";
}
