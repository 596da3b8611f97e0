namespace QuantPS.Engine.Observers;

/// <summary>Does nothing. Gives no parameters.</summary>
/// <remarks>Source: torch/ao/quantization/observer.py NoopObserver. Merging adds the counts up.</remarks>
public sealed class NoopObserver(ObserverSpec spec) : UnrangedObserver(spec)
{
    private protected override string Purpose => "it does nothing with the values. Use MinMax or Histogram where they are to be quantized.";
}
