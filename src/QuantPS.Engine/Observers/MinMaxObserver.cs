namespace QuantPS.Engine.Observers;

/// <summary>The smallest and the largest value of everything seen. Merging is exact, in any order.</summary>
public sealed class MinMaxObserver : RangeObserver
{
    /// <exception cref="QuantPS.Engine.Errors.QuantException">UnsupportedScheme: a per-channel scheme, or symmetric quint8 of reduced range.</exception>
    public MinMaxObserver(ObserverSpec spec) : base(spec, perChannel: false)
    {
    }

    private protected override void Take(float[] batchMin, float[] batchMax) => KeepExtremes(batchMin, batchMax);

    protected override void MergeCore(Observer other) => MergeExtremes(other);
}
