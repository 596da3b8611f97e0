using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Observers;

/// <summary>What the observers with PyTorch's histogram share: equal bins over the range seen so far. They differ in the range that they
/// choose.</summary>
/// <remarks>Source: torch/ao/quantization/observer.py HistogramObserver, of 2.x or of 1.13 (<see cref="ObserverSpec.TorchVersion"/>).
/// Infinite values
/// are left out by 2.x and refused by 1.13.
/// <para>Merging (2.x) keeps the other observer's histogram beside the own one and brings them together only when a result is asked for, each
/// re-binned directly to the common range by PyTorch's rule and summed in a fixed order. So merging is associative and free of order, to the
/// bit, at the price of one histogram (8 KB) of memory for each observer merged in. It is exact where the ranges are equal; otherwise it is as
/// approximate as PyTorch's own re-binning, and not the histogram that one observer would have made of all batches, which depends on their
/// order.</para></remarks>
public abstract class BinnedObserver : Observer
{
    private readonly List<HistogramState> merged = [];
    private HistogramState own;
    // Of the tensor that was prepared: its counts between the edges as they are, or else the histogram as it will be.
    private readonly BatchAhead ahead = new();
    private HistogramState? grown;
    private HistogramState? combined;

    private protected BinnedObserver(ObserverSpec spec) : base(spec)
    {
        RangeObserver.CheckScheme(spec, perChannel: false);
        if (spec.DType == QDType.QInt32)
        {
            throw new QuantException(ErrorIds.UnsupportedDType,
                $"{spec.Kind}Observer searches the best range for the values of at most 16 bits; qint32 has 2^32 and gains nothing by clipping. Use MinMax.", spec);
        }
        if (spec.Bins < 1)
            throw new QuantException(ErrorIds.InvalidArgument,
                $"A histogram of {spec.Bins} bins: give at least 1 (PyTorch's default is 2048).", spec);
        own = new HistogramState(spec.Bins);
    }

    public override ReadOnlySpan<float> MinValues => Combined() is { IsEmpty: false } s ? new[] { s.Min } : default;

    public override ReadOnlySpan<float> MaxValues => Combined() is { IsEmpty: false } s ? new[] { s.Max } : default;

    public override ReadOnlySpan<float> Histogram => Combined() is { IsEmpty: false } s ? s.Counts : default;

    public override ReadOnlySpan<float> BinEdges =>
        Combined() is { IsEmpty: false, IsNaN: false } s ? HistogramV2.Edges(s.Min, s.Max, s.Counts.Length, out _) : default;

    public override (float[] Min, float[] Max) SelectRange()
    {
        HistogramState s = Combined();
        if (s.IsEmpty)
            return ([], []);
        if (s.IsNaN)
            return ([float.NaN], [float.NaN]);
        (float min, float max) = Search(s);
        return ([min], [max]);
    }

    /// <summary>The range to quantize, of a histogram that holds something.</summary>
    private protected abstract (float Min, float Max) Search(HistogramState state);

    protected override void ObserveCore(ReadOnlySpan<float> data, ReadOnlySpan<int> shape, ValueRange? range)
    {
        (float min, float max) = range ?? ValueRange.Of(data);
        Observe(own, data, min, max, null);
        if (!float.IsFinite(min) || !float.IsFinite(max))
            CountNonFinite(data);
        combined = null;
    }

    private protected override ValueRange PrepareCore(ReadOnlySpan<float> data, ReadOnlySpan<int> shape, int block, ValueRange? range, IWorkSharing? threads)
    {
        ahead.Clear();
        ValueRange all = own.IsEmpty || own.IsNaN ? range ?? ValueRange.Of(data, threads)
            : Spec.TorchVersion == TorchVersion.V1_13 ? HistogramV113.CountAhead(own, ahead, data, threads) : HistogramV2.CountAhead(own, ahead, data, threads);
        if (!ahead.IsValid && all.IsFinite)
        {
            (grown ??= new HistogramState(Spec.Bins)).CopyFrom(own);
            Observe(grown, data, all.Min, all.Max, threads);
        }
        return all;
    }

    private protected override void CommitCore()
    {
        if (!ahead.IsValid)
            (own, grown) = (grown!, own);
        else if (Spec.TorchVersion == TorchVersion.V1_13)
            HistogramV113.AddAhead(own, ahead);
        else
            own.Add(ahead.Counts);
        combined = null;
    }

    private void Observe(HistogramState state, ReadOnlySpan<float> data, float min, float max, IWorkSharing? threads)
    {
        if (Spec.TorchVersion == TorchVersion.V1_13)
            HistogramV113.Observe(state, data, min, max, threads);
        else
            HistogramV2.Observe(state, data, min, max, threads);
    }

    protected override void MergeCore(Observer other)
    {
        if (Spec.TorchVersion == TorchVersion.V1_13)
        {
            throw new QuantException(ErrorIds.InvalidArgument,
                "The histogram of PyTorch 1.13 has no merge: its range and counts depend on the order of the batches. "
                + "Observe everything with one observer, or use the algorithm of version 2.", this);
        }
        BinnedObserver o = (BinnedObserver)other;
        if (!o.own.IsEmpty)
            merged.Add(o.own.Copy());
        // Merged histograms are never changed again, so they can be shared.
        merged.AddRange(o.merged.ToArray());
        combined = null;
    }

    /// <summary>The own histogram, then those merged in, in the fixed order: equal states give equal files.</summary>
    protected override void SaveCore(ObserverState state)
    {
        List<HistogramState> sorted = [.. merged];
        sorted.Sort(HistogramState.Compare);
        state.Parts = [.. sorted.Prepend(own).Select(p => new ObserverPart { Min = [p.Min], Max = [p.Max], Counts = p.IsEmpty ? [] : (float[])p.Counts.Clone() })];
    }

    protected override void RestoreCore(ObserverState state)
    {
        HistogramState[] parts = [.. state.Parts.Select(p => new HistogramState(0)
        {
            Min = p.One(p.Min),
            Max = p.One(p.Max),
            Counts = p.Counts is { Length: 0 } ? new float[Spec.Bins] : (float[])p.Sized(p.Counts, Spec.Bins).Clone(),
        })];
        own = parts.Length > 0 ? parts[0] : throw ObserverState.Damaged("no histogram");
        merged.AddRange(parts[1..]);
    }

    private HistogramState Combined() => combined ??= Combine();

    private HistogramState Combine()
    {
        List<HistogramState> parts = [.. merged];
        if (!own.IsEmpty)
            parts.Add(own);
        if (parts.Count <= 1)
            return parts.Count == 1 ? parts[0] : own;
        HistogramState result = new(Spec.Bins) { Min = parts.Min(p => p.Min), Max = parts.Max(p => p.Max) };
        if (parts.Exists(p => p.IsNaN))
        {
            result.SetNaN();
            return result;
        }
        parts.Sort(HistogramState.Compare);
        double[] sums = new double[Spec.Bins];
        foreach (HistogramState part in parts)
        {
            float[] counts = part.Counts;
            if (part.Min != result.Min || part.Max != result.Max)
                HistogramV2.Rebin(part, result.Min, result.Max, counts = new float[Spec.Bins]);
            for (int b = 0; b < sums.Length; b++)
                sums[b] += counts[b];
        }
        result.Counts = Array.ConvertAll(sums, s => (float)s);
        return result;
    }
}
