using QuantPS.Engine.Errors;

namespace QuantPS.Engine.Observers;

/// <summary>What the observers without a range of values share: they let tensors pass, count them, and have nothing to calculate from.</summary>
public abstract class UnrangedObserver : Observer
{
    private protected UnrangedObserver(ObserverSpec spec) : base(spec)
    {
    }

    public override bool HasRange => false;

    public override ReadOnlySpan<float> MinValues => default;

    public override ReadOnlySpan<float> MaxValues => default;

    /// <exception cref="QuantException">ObserverHasNoRange, always.</exception>
    public sealed override (float[] Min, float[] Max) SelectRange() => throw NoRange("range");

    public override Numerics.QParams CalculateQParams() => throw NoRange("scale and zero point");

    protected override void ObserveCore(ReadOnlySpan<float> data, ReadOnlySpan<int> shape, ValueRange? range)
    {
        if (range is not { IsFinite: true })
            CountNonFinite(data);
    }

    private protected override ValueRange PrepareCore(ReadOnlySpan<float> data, ReadOnlySpan<int> shape, int block, ValueRange? range, IWorkSharing? threads) =>
        range ?? ValueRange.Of(data, threads);

    private protected override void CommitCore()
    {
    }

    protected override void MergeCore(Observer other)
    {
    }

    protected override void SaveCore(ObserverState state)
    {
    }

    protected override void RestoreCore(ObserverState state)
    {
    }

    /// <summary>What this observer is for, and what to use where parameters are wanted.</summary>
    private protected abstract string Purpose { get; }

    private QuantException NoRange(string what) =>
        new(ErrorIds.ObserverHasNoRange, $"{Spec.Kind}Observer has no {what}: {Purpose}", this);
}
