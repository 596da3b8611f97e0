using QuantPS.Engine.Errors;

namespace QuantPS.Engine.Observers;

/// <summary>What ONNX Runtime's histogram calibrators share: counts between fixed edges. They differ in the range that they choose.</summary>
/// <remarks>Source: onnxruntime/python/tools/quantization/calibrate.py HistogramCalibrater. Infinities are refused, NaN is left out and counted.
/// <para>Merging adds the counts where both histograms have the same edges; otherwise it is refused: edges grow from those of the first
/// batch, so
/// that a merge would depend on the order, or not be ONNX Runtime's histogram at all.</para></remarks>
public abstract class OrtHistogramObserver : Observer
{
    private readonly bool absolute;
    private OrtHistogram state;
    // Of the tensor that was prepared: its extremes, and its counts between the edges as they are, or else the histogram as it will be.
    private readonly BatchAhead ahead = new();
    private ValueRange prepared;
    private OrtHistogram? grown;

    private protected OrtHistogramObserver(ObserverSpec spec, bool absolute) : base(spec)
    {
        this.absolute = absolute;
        RangeObserver.CheckScheme(spec, perChannel: false);
        if (spec.Bins < 1)
            throw new QuantException(ErrorIds.InvalidArgument,
                $"A histogram of {spec.Bins} bins: give at least 1 (ONNX Runtime's default is 2048).", spec);
        state = new OrtHistogram(spec.Bins, absolute);
    }

    public override ReadOnlySpan<float> MinValues => state.IsEmpty ? default : new[] { state.Min };

    public override ReadOnlySpan<float> MaxValues => state.IsEmpty ? default : new[] { state.Max };

    public override ReadOnlySpan<float> Histogram => Array.ConvertAll(state.Counts.ToArray(), c => (float)c);

    public override ReadOnlySpan<float> BinEdges => state.Edges;

    /// <summary>The whole counts.</summary>
    public ReadOnlySpan<long> Counts => state.Counts;

    /// <summary>The chosen range. Nothing but NaN seen: NaN.</summary>
    public override (float[] Min, float[] Max) SelectRange()
    {
        if (state.IsEmpty)
            return HasObserved ? ([float.NaN], [float.NaN]) : ([], []);
        (float low, float high) = Choose(state);
        return ([low], [high]);
    }

    /// <summary>The calibrator's choice, of a histogram that holds something.</summary>
    private protected abstract (float Min, float Max) Choose(OrtHistogram histogram);

    /// <summary>A chosen range never reaches beyond what was seen.</summary>
    private protected static (float Min, float Max) Limit(OrtHistogram h, float low, float high) =>
        (low < h.Min ? h.Min : low, high > h.Max ? h.Max : high);

    protected override void ObserveCore(ReadOnlySpan<float> data, ReadOnlySpan<int> shape, ValueRange? range)
    {
        ValueRange all = range ?? ValueRange.Of(data);
        state.Collect(data, all, null);
        if (!all.IsFinite)
            CountNonFinite(data);
    }

    private protected override ValueRange PrepareCore(ReadOnlySpan<float> data, ReadOnlySpan<int> shape, int block, ValueRange? range, IWorkSharing? threads)
    {
        prepared = state.CountAhead(ahead, data, threads);
        if (!ahead.IsValid && prepared.IsFinite)
        {
            (grown ??= new OrtHistogram(Spec.Bins, absolute)).CopyFrom(state);
            grown.Collect(data, prepared, threads);
        }
        return prepared;
    }

    private protected override void CommitCore()
    {
        if (ahead.IsValid)
            state.Add(ahead, prepared);
        else
            (state, grown) = (grown!, state);
    }

    protected override void MergeCore(Observer other)
    {
        OrtHistogram o = ((OrtHistogramObserver)other).state;
        if (o.IsEmpty)
            return;
        if (state.IsEmpty)
        {
            state.CopyFrom(o);
            return;
        }
        if (!state.Edges.SequenceEqual(o.Edges) || state.Threshold != o.Threshold)
        {
            throw new QuantException(ErrorIds.InvalidArgument,
                $"{Spec.Kind}Observer merges only histograms with the same edges: ONNX Runtime's edges grow from those of the "
                + $"first batch ({state.Edges[0]}..{state.Edges[^1]} here, {o.Edges[0]}..{o.Edges[^1]} there). Observe everything with one observer, or use Histogram or Mse, which merge.", this);
        }
        state.Add(o.Counts);
        (state.Min, state.Max) = (float.MinNumber(state.Min, o.Min), float.MaxNumber(state.Max, o.Max));
    }

    protected override void SaveCore(ObserverState state) => state.Parts =
        [new ObserverPart { Min = [this.state.Min], Max = [this.state.Max], Tally = this.state.Counts.ToArray(), Edges = this.state.Edges.ToArray(), Data = [this.state.Threshold] }];

    protected override void RestoreCore(ObserverState state)
    {
        ObserverPart part = state.Only();
        long[] counts = part.Some(part.Tally);
        float[] edges = part.Sized(part.Edges, counts.Length == 0 ? 0 : counts.Length + 1);
        if (counts.Length > 0 && (counts.Length < Spec.Bins || Array.Exists(counts, c => c < 0)))
            throw ObserverState.Damaged($"{counts.Length} counts for {Spec.Bins} bins");
        this.state = new OrtHistogram(Spec.Bins, absolute)
        {
            Min = part.One(part.Min),
            Max = part.One(part.Max),
            Threshold = part.One(part.Data),
        };
        this.state.Restore(counts, edges);
    }
}
