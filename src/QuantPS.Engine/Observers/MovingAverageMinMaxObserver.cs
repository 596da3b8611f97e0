namespace QuantPS.Engine.Observers;

/// <summary>Moving averages of the batches' smallest and largest values: m = m + c * (batch - m), the first batch as it is.</summary>
public sealed class MovingAverageMinMaxObserver : RangeObserver
{
    /// <exception cref="QuantPS.Engine.Errors.QuantException">UnsupportedScheme: a per-channel scheme, or symmetric quint8 of reduced range.</exception>
    public MovingAverageMinMaxObserver(ObserverSpec spec) : base(spec, perChannel: false)
    {
    }

    /// <inheritdoc/>
    public override bool IsIdempotent => false;

    private protected override void Take(float[] batchMin, float[] batchMax) => MoveTowards(batchMin, batchMax);

    protected override void MergeCore(Observer other) => throw NoMerge();
}
