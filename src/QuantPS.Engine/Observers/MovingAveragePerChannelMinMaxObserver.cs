namespace QuantPS.Engine.Observers;

/// <summary>Moving averages of the smallest and largest values of every channel: m = m + c * (batch - m), the first batch as it is.</summary>
public sealed class MovingAveragePerChannelMinMaxObserver : RangeObserver
{
    /// <exception cref="QuantPS.Engine.Errors.QuantException">UnsupportedScheme: a per-tensor scheme, or symmetric quint8 of reduced range.</exception>
    public MovingAveragePerChannelMinMaxObserver(ObserverSpec spec) : base(spec, perChannel: true)
    {
    }

    /// <inheritdoc/>
    public override bool IsIdempotent => false;

    private protected override void Take(float[] batchMin, float[] batchMax) => MoveTowards(batchMin, batchMax);

    protected override void MergeCore(Observer other) => throw NoMerge();
}
