using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Observers;

/// <summary>What the four min/max observers share: a smallest and a largest value for the tensor or for every channel.</summary>
/// <remarks>Source: torch/ao/quantization/observer.py.</remarks>
public abstract class RangeObserver : Observer
{
    private readonly bool perChannel;
    private float[] min = [];
    private float[] max = [];
    private float[] batchMin = [];
    private float[] batchMax = [];

    private protected RangeObserver(ObserverSpec spec, bool perChannel) : base(spec)
    {
        this.perChannel = perChannel;
        CheckScheme(spec, perChannel);
        if (spec.Scheme.IsSymmetric() && spec.ReduceRange && spec.DType == QDType.QUInt8)
        {
            throw new QuantException(ErrorIds.UnsupportedScheme,
                $"{spec.Kind}Observer cannot reduce the range of a symmetric quint8, as in PyTorch. Use an affine scheme, qint8, or the full range.", spec);
        }
    }

    public override ReadOnlySpan<float> MinValues => min;

    public override ReadOnlySpan<float> MaxValues => max;

    /// <summary>Refuses a per-channel scheme for a per-tensor observer, and the other way round.</summary>
    /// <exception cref="QuantException">UnsupportedScheme.</exception>
    internal static void CheckScheme(ObserverSpec spec, bool perChannel)
    {
        if (spec.Scheme.IsPerChannel() == perChannel)
            return;
        string known = perChannel
            ? "per_channel_affine, per_channel_symmetric and per_channel_affine_float_qparams"
            : "per_tensor_affine and per_tensor_symmetric";
        throw new QuantException(ErrorIds.UnsupportedScheme, $"{spec.Kind}Observer knows the schemes {known}, not {spec.Scheme.TorchName()}. Choose one of these, or "
            + (perChannel ? "an observer for whole tensors." : "a per-channel observer."), spec);
    }

    protected sealed override void ObserveCore(ReadOnlySpan<float> data, ReadOnlySpan<int> shape, ValueRange? range)
    {
        Look(data, shape, 1, range, null);
        Take(batchMin, batchMax);
        if (!Array.TrueForAll(batchMin, float.IsFinite) || !Array.TrueForAll(batchMax, float.IsFinite))
            CountNonFinite(data);
    }

    private protected override ValueRange PrepareCore(ReadOnlySpan<float> data, ReadOnlySpan<int> shape, int block, ValueRange? range, IWorkSharing? threads)
    {
        Look(data, shape, block, range, threads);
        (float min, float max) = ValueRange.Empty;
        for (int c = 0; c < batchMin.Length; c++)
            (min, max) = (MathF.Min(min, batchMin[c]), MathF.Max(max, batchMax[c]));
        return new(min, max);
    }

    private protected override void CommitCore() => Take(batchMin, batchMax);

    private protected override bool TakesBlocks => Spec.ChannelAxis == 1;

    private void Look(ReadOnlySpan<float> data, ReadOnlySpan<int> shape, int block, ValueRange? range, IWorkSharing? threads)
    {
        if (perChannel)
        {
            ScanChannels(data, shape, block, threads);
            return;
        }
        Resize(ref batchMin, ref batchMax, 1);
        (batchMin[0], batchMax[0]) = range ?? ValueRange.Of(data, threads);
    }

    /// <summary>Takes the smallest and largest values of one batch into the state.</summary>
    private protected abstract void Take(float[] batchMin, float[] batchMax);

    /// <summary>The state keeps the extremes of all batches; NaN wins.</summary>
    private protected void KeepExtremes(ReadOnlySpan<float> otherMin, ReadOnlySpan<float> otherMax)
    {
        if (CopyIfFirst(otherMin, otherMax))
            return;
        for (int c = 0; c < min.Length; c++)
        {
            min[c] = MathF.Min(otherMin[c], min[c]);
            max[c] = MathF.Max(otherMax[c], max[c]);
        }
    }

    /// <summary>The state moves a fraction of the way to each new batch: three float32 operations, the constant rounded to float32 first.</summary>
    private protected void MoveTowards(ReadOnlySpan<float> otherMin, ReadOnlySpan<float> otherMax)
    {
        if (CopyIfFirst(otherMin, otherMax))
            return;
        float c = (float)Spec.AveragingConstant;
        for (int i = 0; i < min.Length; i++)
        {
            min[i] += c * (otherMin[i] - min[i]);
            max[i] += c * (otherMax[i] - max[i]);
        }
    }

    protected override void SaveCore(ObserverState state) => state.Parts = [new ObserverPart { Min = min, Max = max }];

    protected override void RestoreCore(ObserverState state)
    {
        ObserverPart part = state.Only();
        min = [.. part.Some(part.Min)];
        max = [.. part.Sized(part.Max, min.Length)];
        if (!perChannel && min.Length > 1 || min.Length == 0 && HasObserved)
            throw ObserverState.Damaged($"{min.Length} ranges");
    }

    private protected void MergeExtremes(Observer other) => KeepExtremes(other.MinValues, other.MaxValues);

    /// <exception cref="QuantException">InvalidArgument, always.</exception>
    private protected QuantException NoMerge() => new(ErrorIds.InvalidArgument,
        $"{Spec.Kind}Observer has no merge: a moving average depends on the order of the batches, and two averages do not tell the order. "
        + "Observe everything with one observer, or use MinMax or Histogram, which merge.", this);

    private bool CopyIfFirst(ReadOnlySpan<float> otherMin, ReadOnlySpan<float> otherMax)
    {
        if (min.Length == 0)
        {
            min = otherMin.ToArray();
            max = otherMax.ToArray();
            return true;
        }
        if (otherMin.Length != min.Length)
        {
            throw new QuantException(ErrorIds.ShapeMismatch,
                $"{otherMin.Length} channels after {min.Length}: the channel axis {Spec.ChannelAxis} must keep its size. Name another axis if it is the wrong one.");
        }
        return false;
    }

    private unsafe void ScanChannels(ReadOnlySpan<float> data, ReadOnlySpan<int> shape, int block, IWorkSharing? threads)
    {
        if (shape.Length < 2)
        {
            throw new QuantException(ErrorIds.InvalidShape,
                $"{Spec.Kind}Observer needs a tensor of at least two dimensions, not shape [{TensorShape.Format(shape)}]: nothing is left to reduce beside the channel axis.");
        }
        (int outer, int channels, int inner) = TensorShape.Split(shape, Spec.ChannelAxis);
        Resize(ref batchMin, ref batchMax, channels);
        Array.Fill(batchMin, float.PositiveInfinity);
        Array.Fill(batchMax, float.NegativeInfinity);
        if (inner == 1 && block == 1)
        {
            MinMaxScan.ScanColumns(data, batchMin, batchMax);
            return;
        }
        int blocks = channels / block, parts = threads is null ? 1 : Math.Clamp(data.Length / ValueRange.LeastPart, 1, Math.Min(threads.Threads, blocks));
        if (parts == 1)
        {
            ScanBlocks(data, outer, 0, blocks, block, inner);
            return;
        }
        fixed (float* x = data)
        {
            nint start = (nint)x;
            int length = data.Length;
            threads!.Run(parts, p => ScanBlocks(new ReadOnlySpan<float>((float*)start, length), outer, blocks * p / parts, blocks * (p + 1) / parts, block, inner));
        }
    }

    /// <summary>The extremes of the channels of some blocks.</summary>
    private void ScanBlocks(ReadOnlySpan<float> data, int outer, int from, int to, int block, int inner)
    {
        int blocks = batchMin.Length / block, size = block * inner;
        for (int o = 0; o < outer; o++)
        {
            for (int b = from; b < to; b++)
            {
                ReadOnlySpan<float> part = data.Slice((o * blocks + b) * size, size);
                if (block > 1)
                {
                    MinMaxScan.ScanColumns(part, batchMin.AsSpan(b * block, block), batchMax.AsSpan(b * block, block));
                    continue;
                }
                (float low, float high) = MinMaxScan.Scan(part);
                batchMin[b] = MathF.Min(low, batchMin[b]);
                batchMax[b] = MathF.Max(high, batchMax[b]);
            }
        }
    }

    private static void Resize(ref float[] a, ref float[] b, int length)
    {
        if (a.Length == length)
            return;
        a = new float[length];
        b = new float[length];
    }
}
