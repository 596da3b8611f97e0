using QuantPS.Engine.Errors;

namespace QuantPS.Engine.Observers;

/// <summary>Every observer, a line each.</summary>
public static class ObserverRegistry
{
    private static readonly Dictionary<ObserverKind, Func<ObserverSpec, Observer>> Factories = new()
    {
        [ObserverKind.MinMax] = spec => new MinMaxObserver(spec),
        [ObserverKind.MovingAverageMinMax] = spec => new MovingAverageMinMaxObserver(spec),
        [ObserverKind.PerChannelMinMax] = spec => new PerChannelMinMaxObserver(spec),
        [ObserverKind.MovingAveragePerChannelMinMax] = spec => new MovingAveragePerChannelMinMaxObserver(spec),
        [ObserverKind.Histogram] = spec => new HistogramObserver(spec),
        [ObserverKind.FixedQParams] = spec => new FixedQParamsObserver(spec),
        [ObserverKind.Placeholder] = spec => new PlaceholderObserver(spec),
        [ObserverKind.Noop] = spec => new NoopObserver(spec),
        [ObserverKind.ReuseInput] = spec => new ReuseInputObserver(spec),
        [ObserverKind.Recording] = spec => new RecordingObserver(spec),
        [ObserverKind.OrtMinMax] = spec => new OrtMinMaxObserver(spec),
        [ObserverKind.Entropy] = spec => new EntropyObserver(spec),
        [ObserverKind.Percentile] = spec => new PercentileObserver(spec),
        [ObserverKind.Distribution] = spec => new DistributionObserver(spec),
        [ObserverKind.Mse] = spec => new MseObserver(spec),
    };

    /// <summary>The kinds that can be made.</summary>
    public static IReadOnlyCollection<ObserverKind> Kinds => Factories.Keys;

    /// <summary>Makes an observer.</summary>
    /// <exception cref="QuantException">UnknownObserver. UnsupportedScheme, UnsupportedDType, InvalidQuantizationRange, InvalidArgument: arguments that
    /// the observer refuses.</exception>
    public static Observer Create(ObserverSpec spec) => Factories.TryGetValue(spec.Kind, out Func<ObserverSpec, Observer>? make)
        ? make(spec)
        : throw new QuantException(ErrorIds.UnknownObserver, $"There is no observer {spec.Kind}. Known: {string.Join(", ", Factories.Keys)}.");
}
