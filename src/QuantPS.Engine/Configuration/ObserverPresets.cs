using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;

namespace QuantPS.Engine.Configuration;

/// <summary>PyTorch's named observers, under PyTorch's names.</summary>
/// <remarks>Source: torch/ao/quantization/observer.py, at its end. default_dynamic_quant_observer is for dynamic quantization, which this
/// module does not do.</remarks>
public static class ObserverPresets
{
    private const float SmallestXnnpackScale = 1f / 4096;

    /// <summary>default_observer: values 0..127, which never saturate FBGEMM's 16-bit sums.</summary>
    public static ObserverSpec Default { get; } = new() { QuantMin = 0, QuantMax = 127 };

    /// <summary>default_histogram_observer.</summary>
    public static ObserverSpec Histogram { get; } = new() { Kind = ObserverKind.Histogram, QuantMin = 0, QuantMax = 127 };

    /// <summary>default_weight_observer.</summary>
    public static ObserverSpec Weight { get; } = new() { DType = QDType.QInt8, Scheme = QScheme.PerTensorSymmetric };

    /// <summary>default_per_channel_weight_observer.</summary>
    public static ObserverSpec PerChannelWeight { get; } =
        new() { Kind = ObserverKind.PerChannelMinMax, DType = QDType.QInt8, Scheme = QScheme.PerChannelSymmetric };

    /// <summary>weight_observer_range_neg_127_to_127.</summary>
    public static ObserverSpec WeightRangeNeg127To127 { get; } = Weight with { QuantMin = -127, QuantMax = 127, Eps = SmallestXnnpackScale };

    /// <summary>per_channel_weight_observer_range_neg_127_to_127.</summary>
    public static ObserverSpec PerChannelWeightRangeNeg127To127 { get; } =
        PerChannelWeight with { QuantMin = -127, QuantMax = 127, Eps = SmallestXnnpackScale };

    /// <summary>default_float_qparams_observer: for embeddings.</summary>
    public static ObserverSpec FloatQParams { get; } =
        new() { Kind = ObserverKind.PerChannelMinMax, Scheme = QScheme.PerChannelAffineFloatQParams };

    /// <summary>default_float_qparams_observer_4bit.</summary>
    public static ObserverSpec FloatQParams4Bit { get; } = FloatQParams with { DType = QDType.QUInt4 };

    /// <summary>default_fixed_qparams_range_0to1_observer: outputs of Sigmoid and the like.</summary>
    public static ObserverSpec FixedRange0To1 { get; } =
        new() { Kind = ObserverKind.FixedQParams, Scale = 1f / 256, ZeroPoint = 0, QuantMin = 0, QuantMax = 255 };

    /// <summary>default_fixed_qparams_range_neg1to1_observer: outputs of Tanh and the like.</summary>
    public static ObserverSpec FixedRangeNeg1To1 { get; } = FixedRange0To1 with { Scale = 2f / 256, ZeroPoint = 128 };

    /// <summary>The activations of default_symmetric_qnnpack_qconfig.</summary>
    internal static ObserverSpec XnnpackActivation { get; } =
        new() { Kind = ObserverKind.Histogram, DType = QDType.QInt8, Eps = SmallestXnnpackScale };
}
