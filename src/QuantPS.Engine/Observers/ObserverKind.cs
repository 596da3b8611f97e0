namespace QuantPS.Engine.Observers;

/// <summary>The observers, by PyTorch's names without the suffix "Observer". One registry line each, see <see cref="ObserverRegistry"/>.</summary>
public enum ObserverKind
{
    MinMax,
    MovingAverageMinMax,
    PerChannelMinMax,
    MovingAveragePerChannelMinMax,
    Histogram,

    /// <summary>Scale and zero point are given, not observed.</summary>
    FixedQParams,

    /// <summary>Only carries a dtype.</summary>
    Placeholder,

    /// <summary>Does nothing.</summary>
    Noop,

    /// <summary>Stands for the observer of the value's producer.</summary>
    ReuseInput,

    /// <summary>Keeps copies of the tensors.</summary>
    Recording,

    /// <summary>ONNX Runtime's MinMax calibrator.</summary>
    OrtMinMax,

    /// <summary>ONNX Runtime's Entropy calibrator: smallest Kullback-Leibler divergence.</summary>
    Entropy,

    /// <summary>ONNX Runtime's Percentile calibrator.</summary>
    Percentile,

    /// <summary>ONNX Runtime's Distribution calibrator.</summary>
    Distribution,

    /// <summary>PyTorch's histogram with a search by the squared error of the very integers that will be used.</summary>
    Mse,
}
