using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Observers;

/// <summary>Keeps a histogram over the range seen so far, and quantizes the part of it that gives the smallest squared error.</summary>
/// <remarks>Source: torch/ao/quantization/observer.py HistogramObserver, of 2.x or of 1.13 (<see cref="ObserverSpec.TorchVersion"/>). Infinite values
/// are left out by 2.x and refused by 1.13.
/// <para>Merging (2.x) keeps the other observer's histogram beside the own one and brings them together only when a result is asked for, each
/// re-binned directly to the common range by PyTorch's rule and summed in a fixed order. So merging is associative and free of order, to the
/// bit, at the price of one histogram (8 KB) of memory for each observer merged in. It is exact where the ranges are equal; otherwise it is as
/// approximate as PyTorch's own re-binning, and not the histogram that one observer would have made of all batches, which depends on their order.</para></remarks>
public sealed class HistogramObserver : Observer
{
    private readonly HistogramState own;
    private readonly List<HistogramState> merged = [];
    private HistogramState? combined;

    /// <exception cref="QuantException">UnsupportedScheme: a per-channel scheme. UnsupportedDType: qint32. InvalidArgument: no bins.</exception>
    public HistogramObserver(ObserverSpec spec) : base(spec)
    {
        RangeObserver.CheckScheme(spec, perChannel: false);
        if (spec.DType == QDType.QInt32)
        {
            throw new QuantException(ErrorIds.UnsupportedDType,
                "HistogramObserver searches the best range for 256 values; qint32 has 2^32 and gains nothing by clipping. Use MinMax.", spec);
        }
        if (spec.Bins < 1)
            throw new QuantException(ErrorIds.InvalidArgument, $"A histogram of {spec.Bins} bins: give at least 1 (PyTorch's default is 2048).", spec);
        own = new HistogramState(spec.Bins);
    }

    public override ReadOnlySpan<float> MinValues => Combined() is { IsEmpty: false } s ? new[] { s.Min } : default;

    public override ReadOnlySpan<float> MaxValues => Combined() is { IsEmpty: false } s ? new[] { s.Max } : default;

    public override ReadOnlySpan<float> Histogram => Combined() is { IsEmpty: false } s ? s.Counts : default;

    public override (float[] Min, float[] Max) SelectRange()
    {
        HistogramState s = Combined();
        if (s.IsEmpty)
            return ([], []);
        if (s.IsNaN)
            return ([float.NaN], [float.NaN]);
        (float min, float max) = HistogramSearch.Find(s);
        return ([min], [max]);
    }

    protected override void ObserveCore(ReadOnlySpan<float> data, ReadOnlySpan<int> shape)
    {
        (float min, float max) = MinMaxScan.Scan(data);
        if (Spec.TorchVersion == TorchVersion.V1_13)
            HistogramV113.Observe(own, data, min, max);
        else
            HistogramV2.Observe(own, data, min, max);
        if (!float.IsFinite(min) || !float.IsFinite(max))
            CountNonFinite(data);
        combined = null;
    }

    protected override void MergeCore(Observer other)
    {
        if (Spec.TorchVersion == TorchVersion.V1_13)
        {
            throw new QuantException(ErrorIds.InvalidArgument,
                "The histogram of PyTorch 1.13 has no merge: its range and counts depend on the order of the batches. "
                + "Observe everything with one observer, or use the algorithm of version 2.", this);
        }
        HistogramObserver o = (HistogramObserver)other;
        if (!o.own.IsEmpty)
            merged.Add(o.own.Copy());
        // Merged histograms are never changed again, so they can be shared.
        merged.AddRange(o.merged.ToArray());
        combined = null;
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
        parts.Sort(static (a, b) => a.Min != b.Min ? a.Min.CompareTo(b.Min)
            : a.Max != b.Max ? a.Max.CompareTo(b.Max)
            : a.Counts.AsSpan().SequenceCompareTo(b.Counts));
        double[] sums = new double[Spec.Bins];
        foreach (HistogramState part in parts)
        {
            float[] counts = part.Min == result.Min && part.Max == result.Max ? part.Counts : HistogramV2.Rebin(part, result.Min, result.Max);
            for (int b = 0; b < sums.Length; b++)
                sums[b] += counts[b];
        }
        result.Counts = Array.ConvertAll(sums, s => (float)s);
        return result;
    }
}
