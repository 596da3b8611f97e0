namespace QuantPS.Engine.Observers;

/// <summary>The smallest and the largest value of every channel. Merging is exact, in any order.</summary>
public sealed class PerChannelMinMaxObserver : RangeObserver
{
    /// <exception cref="QuantPS.Engine.Errors.QuantException">UnsupportedScheme: a per-tensor scheme, or symmetric quint8 of reduced range.</exception>
    public PerChannelMinMaxObserver(ObserverSpec spec) : base(spec, perChannel: true)
    {
    }

    private protected override void Take(float[] batchMin, float[] batchMax) => KeepExtremes(batchMin, batchMax);

    protected override void MergeCore(Observer other) => MergeExtremes(other);
}
