namespace QuantPS.Engine.Observers;

/// <summary>Stands for the observer of the value that an operator passes on (reshape, max pooling, ...). Gives no parameters.</summary>
/// <remarks>Source: torch/ao/quantization/observer.py ReuseInputObserver. Merging adds the counts up.</remarks>
public sealed class ReuseInputObserver(ObserverSpec spec) : UnrangedObserver(spec)
{
    private protected override string Purpose =>
        "it stands for the observer of the operator's input, whose parameters the output shares. "
        + "Where a value has parameters of its own, use MinMax or Histogram.";
}
