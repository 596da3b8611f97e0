namespace QuantPS.Engine.Observers;

/// <summary>Keeps a histogram over the range seen so far, and quantizes the part of it that gives the smallest squared error by PyTorch's search.</summary>
/// <remarks>Source: torch/ao/quantization/observer.py HistogramObserver. How histograms grow and merge: <see cref="BinnedObserver"/>.</remarks>
public sealed class HistogramObserver : BinnedObserver
{
    /// <exception cref="QuantPS.Engine.Errors.QuantException">UnsupportedScheme: a per-channel scheme. UnsupportedDType: qint32. InvalidArgument: no bins.</exception>
    public HistogramObserver(ObserverSpec spec) : base(spec)
    {
    }

    private protected override (float Min, float Max) Search(HistogramState state) => HistogramSearch.Find(state, Spec.DType);
}
