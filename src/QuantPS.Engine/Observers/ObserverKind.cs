namespace QuantPS.Engine.Observers;

/// <summary>The observers, by PyTorch's names without the suffix "Observer". One registry line each, see <see cref="ObserverRegistry"/>.</summary>
public enum ObserverKind
{
    MinMax,
    MovingAverageMinMax,
    PerChannelMinMax,
    MovingAveragePerChannelMinMax,
    Histogram,
}
