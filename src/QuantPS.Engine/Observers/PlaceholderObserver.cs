namespace QuantPS.Engine.Observers;

/// <summary>Only carries a dtype to where the model is converted. Gives no parameters.</summary>
/// <remarks>Source: torch/ao/quantization/observer.py PlaceholderObserver. Merging adds the counts up.</remarks>
public sealed class PlaceholderObserver(ObserverSpec spec) : UnrangedObserver(spec)
{
    private protected override string Purpose => "it only carries a dtype. Use MinMax or Histogram where values are to be quantized.";
}
