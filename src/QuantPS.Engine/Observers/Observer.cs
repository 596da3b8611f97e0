using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Observers;

/// <summary>Watches tensors go by, keeps statistics of constant size, and turns them into quantization parameters.</summary>
/// <remarks>Not thread-safe: observe from one thread, or one observer a thread and <see cref="Merge"/>. An empty tensor is ignored.</remarks>
public abstract class Observer
{
    // Of the tensor that was prepared last: whether there is one, its size, and a copy where the observer could not do without the elements.
    private bool isPrepared;
    private int preparedLength;
    private (float[] Data, int[] Shape, ValueRange Range)? kept;

    /// <exception cref="QuantException">InvalidQuantizationRange.</exception>
    protected Observer(ObserverSpec spec)
    {
        Spec = spec;
        Range = spec.Range;
    }

    /// <summary>The arguments it was made from.</summary>
    public ObserverSpec Spec { get; }

    /// <summary>The integers that the parameters will use.</summary>
    public QuantRange Range { get; }

    /// <summary>Number of non-empty tensors seen.</summary>
    public long BatchCount { get; private set; }

    /// <summary>Number of elements seen.</summary>
    public long ElementCount { get; private set; }

    /// <summary>Number of elements seen that were NaN or infinite. Infinities make a scale infinite (min/max observers) or are left out
    /// (histogram); NaN leaves no parameters at all.</summary>
    public long NonFiniteCount { get; private set; }

    /// <summary>False until a non-empty tensor was seen; until then <see cref="CalculateQParams"/> gives scale 1, zero point 0 (where it depends on data).</summary>
    public bool HasObserved => BatchCount > 0;

    /// <summary>True when seeing a tensor twice in a row is the same as seeing it once, for the parameters. Moving averages are not so.</summary>
    public virtual bool IsIdempotent => true;

    /// <summary>False where the elements may come in any order, their shape aside: then a layout of blocks is as good as planes.</summary>
    public virtual bool DependsOnOrder => Spec.Scheme.IsPerChannel();

    /// <summary>Observes one tensor.</summary>
    /// <param name="data">float32, row-major.</param>
    /// <param name="shape">Its shape; only per-channel observers look at it.</param>
    /// <param name="range">The data's extremes, as <see cref="ValueRange.Of"/> gives them, where they are known already.</param>
    public void Observe(ReadOnlySpan<float> data, ReadOnlySpan<int> shape, ValueRange? range = null)
    {
        Drop();
        if (data.IsEmpty)
            return;
        ObserveCore(data, shape, range);
        BatchCount++;
        ElementCount += data.Length;
    }

    /// <summary>Looks at a tensor without observing it yet, and takes from it whatever <see cref="Commit"/> will need: for whoever has to know that all values of
    /// a batch are finite before any is observed, and cannot keep them until then.</summary>
    /// <param name="data">float32, row-major; not needed any more afterwards, as long as all elements are finite. Otherwise a copy is kept.</param>
    /// <param name="shape">As in <see cref="Observe(ReadOnlySpan{float}, ReadOnlySpan{int}, ValueRange?)"/>.</param>
    /// <param name="threads">Who may help.</param>
    /// <param name="range">The data's extremes, as <see cref="ValueRange.Of"/> gives them, where they are known already.</param>
    /// <param name="block">Channels (of axis 1) that lie side by side: of a shape [N, C, ...] the elements come as [N, C / block, ..., block].</param>
    /// <returns>As <see cref="ValueRange.Of"/>.</returns>
    /// <remarks>A histogram counts on the way, between the edges it has; so a batch that brings nothing beyond the range seen so far is read once. What was
    /// prepared and not committed leaves no trace.</remarks>
    /// <exception cref="QuantException">As observing.</exception>
    public ValueRange Prepare(ReadOnlySpan<float> data, ReadOnlySpan<int> shape, IWorkSharing? threads = null, ValueRange? range = null, int block = 1)
    {
        Drop();
        preparedLength = data.Length;
        if (DependsOnOrder && !TakesBlocks && block > 1)
        {
            data = InOrder(data, shape, block);
            block = 1;
        }
        ValueRange all = data.IsEmpty ? ValueRange.Empty : PrepareCore(data, shape, block, range, threads);
        if (!data.IsEmpty && (KeepsElements || !all.IsFinite))
            kept = (InOrder(data, shape, block), shape.ToArray(), all);
        isPrepared = true;
        return all;
    }

    /// <summary>A copy of the elements in row-major order.</summary>
    private static float[] InOrder(ReadOnlySpan<float> data, ReadOnlySpan<int> shape, int block)
    {
        float[] copy = data.ToArray();
        if (block == 1 || data.IsEmpty)
            return copy;
        (int outer, int channels, int inner) = TensorShape.Split(shape, 1);
        for (int plane = 0; plane < outer * channels; plane++)
        {
            int from = plane / block * block * inner + plane % block;
            for (int i = 0; i < inner; i++)
                copy[plane * inner + i] = data[from + i * block];
        }
        return copy;
    }

    /// <summary>Observes the tensor that was prepared last; nothing where that was observed or dropped already.</summary>
    /// <param name="times">How often it passed. An observer that is idempotent counts it once.</param>
    public void Commit(int times = 1)
    {
        for (int t = IsIdempotent ? Math.Min(times, 1) : times; t > 0 && isPrepared && preparedLength > 0; t--)
        {
            if (kept is { } k)
                ObserveCore(k.Data, k.Shape, k.Range);
            else
                CommitCore();
            BatchCount++;
            ElementCount += preparedLength;
        }
        Drop();
    }

    private void Drop()
    {
        (isPrepared, kept) = (false, null);
    }

    public void Observe(Tensor tensor) => Observe(tensor.Span, tensor.Dims);

    /// <summary>Takes another observer's statistics in, as if this one had seen its tensors too.</summary>
    /// <exception cref="QuantException">InvalidArgument: the other one was made with other arguments, or the mathematics has no merge (moving
    /// averages, the histogram of PyTorch 1.13).</exception>
    public void Merge(Observer other)
    {
        if (other.Spec != Spec)
            throw new QuantException(ErrorIds.InvalidArgument, $"Statistics of {other.Spec} cannot be merged into those of {Spec}: observe with the same arguments.");
        if (!other.HasObserved)
            return;
        MergeCore(other);
        BatchCount += other.BatchCount;
        ElementCount += other.ElementCount;
        NonFiniteCount += other.NonFiniteCount;
    }

    /// <summary>False where the parameters, if there are any, do not come from a range of observed values.</summary>
    public virtual bool HasRange => true;

    /// <summary>The parameters by the rule of PyTorch's calculate_qparams.</summary>
    /// <exception cref="QuantException">NotANumber: NaN was seen. ZeroPointOutOfRange: a custom range outside the dtype's. ObserverHasNoRange: the
    /// observer never gives parameters.</exception>
    public virtual QParams CalculateQParams()
    {
        (float[] min, float[] max) = SelectRange();
        return QParamsCalculator.Calculate(min, max, Spec.DType, Spec.Scheme, Range, Spec.Eps, Spec.ChannelAxis);
    }

    /// <summary>The range of real values that the parameters will cover: all that was seen, or the part of it that a histogram's search chose.</summary>
    /// <exception cref="QuantException">ObserverHasNoRange.</exception>
    public virtual (float[] Min, float[] Max) SelectRange() => (MinValues.ToArray(), MaxValues.ToArray());

    /// <summary>Smallest values seen: one per tensor, one per channel; empty before the first.</summary>
    public abstract ReadOnlySpan<float> MinValues { get; }

    /// <summary>Largest values seen.</summary>
    public abstract ReadOnlySpan<float> MaxValues { get; }

    /// <summary>The spread of the values in bins; empty where the observer keeps none.</summary>
    public virtual ReadOnlySpan<float> Histogram => default;

    /// <summary>The edges of the bins of <see cref="Histogram"/>, one more than there are bins; empty where the observer keeps none.</summary>
    public virtual ReadOnlySpan<float> BinEdges => default;

    /// <summary>Whether the observer needs the elements themselves when they are to be observed.</summary>
    private protected virtual bool KeepsElements => false;

    /// <summary>Whether an observer that depends on the order knows its way among blocks of channels.</summary>
    private protected virtual bool TakesBlocks => false;

    /// <summary>Takes from a tensor what <see cref="CommitCore"/> needs. Not asked for where the elements are kept.</summary>
    /// <returns>The extremes of all elements.</returns>
    private protected abstract ValueRange PrepareCore(ReadOnlySpan<float> data, ReadOnlySpan<int> shape, int block, ValueRange? range, IWorkSharing? threads);

    /// <summary>Observes what was prepared last, elements that are all finite.</summary>
    private protected abstract void CommitCore();

    protected abstract void ObserveCore(ReadOnlySpan<float> data, ReadOnlySpan<int> shape, ValueRange? range);

    protected abstract void MergeCore(Observer other);

    /// <summary>Everything that was observed, for a file.</summary>
    public ObserverState Save()
    {
        ObserverState state = new() { Spec = Spec, BatchCount = BatchCount, ElementCount = ElementCount, NonFiniteCount = NonFiniteCount };
        SaveCore(state);
        return state;
    }

    /// <summary>The observer that a state was saved from; it goes on as that one would have.</summary>
    /// <exception cref="QuantException">FileFormat: the state does not fit together. What the observer's constructor refuses.</exception>
    public static Observer Restore(ObserverState state)
    {
        if (state.Version != ObserverState.CurrentVersion)
        {
            throw new QuantException(ErrorIds.FileFormat, $"The observer's state has version {state.Version}; this module reads version {ObserverState.CurrentVersion}. "
                + (state.Version > ObserverState.CurrentVersion ? "Update the module." : "Calibrate again."));
        }
        if (state.Spec is null || state.Parts is null || Array.Exists(state.Parts, p => p is null))
            throw ObserverState.Damaged("no arguments or no parts");
        if (state.BatchCount < 0 || state.ElementCount < state.BatchCount || state.NonFiniteCount < 0 || state.NonFiniteCount > state.ElementCount)
            throw ObserverState.Damaged($"{state.BatchCount} batches of {state.ElementCount} elements, {state.NonFiniteCount} of them not finite");
        Observer observer = state.Spec.Create();
        (observer.BatchCount, observer.ElementCount, observer.NonFiniteCount) = (state.BatchCount, state.ElementCount, state.NonFiniteCount);
        observer.RestoreCore(state);
        return observer;
    }

    /// <summary>Puts the statistics into <see cref="ObserverState.Parts"/>.</summary>
    protected abstract void SaveCore(ObserverState state);

    /// <summary>Takes them back, into a fresh observer.</summary>
    /// <exception cref="QuantException">FileFormat.</exception>
    protected abstract void RestoreCore(ObserverState state);

    /// <summary>Counts what is not finite; called only when the smallest or largest value of a batch is not.</summary>
    protected void CountNonFinite(ReadOnlySpan<float> data)
    {
        foreach (float v in data)
        {
            if (!float.IsFinite(v))
                NonFiniteCount++;
        }
    }
}
