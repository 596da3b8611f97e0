using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Observers;

/// <summary>ONNX Runtime's MinMax calibrator: the extremes of all batches, or (averaging) the mean of each batch's extremes; per tensor, or
/// per channel
/// for a per-channel scheme.</summary>
/// <remarks>Source: onnxruntime/python/tools/quantization/calibrate.py MinMaxCalibrater. A batch that holds NaN is left out (nanmin, nanmean).
/// With averaging, the batches of one collect() (<see cref="ObserverSpec.CollectSize"/>) are averaged and the next collect moves the result
/// by the
/// averaging constant. The mean is a float32 sum in NumPy's order, bit for bit up to 128 batches a collect (per channel: any number);
/// beyond, blocks of 128 are added up, so that memory stays constant. Merging is exact, in any order; with averaging there is none.</remarks>
public sealed class OrtMinMaxObserver : Observer
{
    private const int Block = 128;

    private readonly bool perChannel;
    private readonly bool symmetric;
    private float[] min = [];
    private float[] max = [];
    private (float[] Min, float[] Max) prepared;

    // Of the collect under way, with averaging: sums per channel, the batches in them, and per tensor the terms not yet summed.
    private float[] minSum = [];
    private float[] maxSum = [];
    private long[] counts = [];
    private readonly List<float> minTerms = [];
    private readonly List<float> maxTerms = [];

    /// <exception cref="QuantException">UnsupportedScheme: float zero points. InvalidArgument: a negative collect size.</exception>
    public OrtMinMaxObserver(ObserverSpec spec) : base(spec)
    {
        if (spec.Scheme == QScheme.PerChannelAffineFloatQParams)
            throw new QuantException(ErrorIds.UnsupportedScheme,
                "ONNX Runtime's calibrator has no float zero points. Choose an affine or symmetric scheme.", spec);
        if (spec.CollectSize < 0)
            throw new QuantException(ErrorIds.InvalidArgument,
                $"A collect of {spec.CollectSize} batches: give a number above 0, or 0 for all batches.", spec);
        perChannel = spec.Scheme.IsPerChannel();
        symmetric = spec.SymmetricRange ?? false;
    }

    public override ReadOnlySpan<float> MinValues => Current().Min;

    public override ReadOnlySpan<float> MaxValues => Current().Max;

    protected override void ObserveCore(ReadOnlySpan<float> data, ReadOnlySpan<int> shape, ValueRange? range)
    {
        (float[] low, float[] high) = Extremes(data, shape, range, null);
        Take(low, high);
        if (!Array.TrueForAll(low, float.IsFinite) || !Array.TrueForAll(high, float.IsFinite))
            CountNonFinite(data);
    }

    private protected override ValueRange PrepareCore(ReadOnlySpan<float> data, ReadOnlySpan<int> shape, int block, ValueRange? range, IWorkSharing? threads)
    {
        prepared = Extremes(data, shape, range, threads);
        ValueRange all = ValueRange.Empty;
        for (int c = 0; c < prepared.Min.Length; c++)
            all = new(MathF.Min(all.Min, prepared.Min[c]), MathF.Max(all.Max, prepared.Max[c]));
        return all;
    }

    private protected override void CommitCore() => Take(prepared.Min, prepared.Max);

    /// <summary>Takes the extremes of a batch in.</summary>
    private void Take(float[] low, float[] high)
    {
        int known = Math.Max(min.Length, counts.Length);
        if (known > 0 && low.Length != known)
            throw new QuantException(ErrorIds.ShapeMismatch,
                $"{low.Length} channels after {known}: the channel axis {Spec.ChannelAxis} must keep its size.");
        if (!Spec.Averaging)
        {
            (min, max) = min.Length == 0 ? (low, high) : Widen(min, max, low, high);
            return;
        }
        Add(low, high);
        if (Spec.CollectSize > 0 && (BatchCount + 1) % Spec.CollectSize == 0)
        {
            (min, max) = Current();
            (minSum, maxSum, counts) = ([], [], []);
            minTerms.Clear();
            maxTerms.Clear();
        }
    }

    protected override void MergeCore(Observer other)
    {
        if (Spec.Averaging)
        {
            throw new QuantException(ErrorIds.InvalidArgument,
                "OrtMinMaxObserver has no merge with averaging: ONNX Runtime moves the mean of one collect towards the "
                + "next, which depends on their order. Observe everything with one observer, or leave averaging away.", this);
        }
        OrtMinMaxObserver o = (OrtMinMaxObserver)other;
        if (min.Length != 0 && o.min.Length != min.Length)
            throw new QuantException(ErrorIds.ShapeMismatch, $"{o.min.Length} channels cannot be merged into {min.Length}.", this);
        (min, max) = min.Length == 0 ? ((float[])o.min.Clone(), (float[])o.max.Clone()) : Widen(min, max, o.min, o.max);
    }

    protected override void SaveCore(ObserverState state) => state.Parts =
    [
        new ObserverPart { Min = min, Max = max },
        new ObserverPart { Min = minSum, Max = maxSum, Tally = counts, Data = [.. minTerms, .. maxTerms] },
    ];

    protected override void RestoreCore(ObserverState state)
    {
        if (state.Parts is not [ObserverPart range, ObserverPart collect])
            throw ObserverState.Damaged($"{state.Parts.Length} parts");
        min = [.. range.Some(range.Min)];
        max = [.. range.Sized(range.Max, min.Length)];
        counts = [.. collect.Some(collect.Tally)];
        minSum = [.. collect.Sized(collect.Min, counts.Length)];
        maxSum = [.. collect.Sized(collect.Max, counts.Length)];
        float[] terms = collect.Some(collect.Data);
        if (terms.Length % 2 != 0 || terms.Length / 2 >= Block || !perChannel && (min.Length > 1 || counts.Length > 1) || HasObserved && min.Length + counts.Length == 0)
            throw ObserverState.Damaged($"{terms.Length} terms, {min.Length} ranges, {counts.Length} sums");
        minTerms.AddRange(terms[..(terms.Length / 2)]);
        maxTerms.AddRange(terms[(terms.Length / 2)..]);
    }

    /// <summary>nanmin and nanmax.</summary>
    private static (float[] Min, float[] Max) Widen(float[] min, float[] max, float[] otherMin, float[] otherMax) =>
        ([.. min.Zip(otherMin, float.MinNumber)], [.. max.Zip(otherMax, float.MaxNumber)]);

    private (float[] Min, float[] Max) Extremes(ReadOnlySpan<float> data, ReadOnlySpan<int> shape, ValueRange? range, IWorkSharing? threads)
    {
        if (!perChannel)
        {
            (float lowest, float highest) = range ?? ValueRange.Of(data, threads);
            return ([lowest], [highest]);
        }
        (int outer, int channels, int inner) = TensorShape.Split(shape, Spec.ChannelAxis);
        var low = new float[channels];
        var high = new float[channels];
        Array.Fill(low, float.PositiveInfinity);
        Array.Fill(high, float.NegativeInfinity);
        for (int i = 0; i < outer * channels; i++)
        {
            int c = i % channels;
            (float lowest, float highest) = MinMaxScan.Scan(data.Slice(i * inner, inner));
            (low[c], high[c]) = (MathF.Min(low[c], lowest), MathF.Max(high[c], highest));
        }
        return (low, high);
    }

    private void Add(float[] low, float[] high)
    {
        if (counts.Length == 0)
            (minSum, maxSum, counts) = (new float[low.Length], new float[low.Length], new long[low.Length]);
        for (int c = 0; c < low.Length; c++)
        {
            bool isNumber = !float.IsNaN(low[c]);
            (float lowTerm, float highTerm) = isNumber ? (low[c], high[c]) : (0f, 0f);
            counts[c] += isNumber ? 1 : 0;
            if (low.Length > 1)
            {
                // NumPy adds the rows of a matrix one after the other, and halves only a single column.
                minSum[c] += lowTerm;
                maxSum[c] += highTerm;
                continue;
            }
            minTerms.Add(lowTerm);
            maxTerms.Add(highTerm);
            if (minTerms.Count == Block)
            {
                (minSum[0], maxSum[0]) = (Total(minSum[0], minTerms), Total(maxSum[0], maxTerms));
                minTerms.Clear();
                maxTerms.Clear();
            }
        }
    }

    private static float Total(float sum, List<float> terms) => sum + PairwiseSum.Of<float, float>(terms.ToArray());

    /// <summary>The range so far, the collect under way included.</summary>
    private (float[] Min, float[] Max) Current()
    {
        (float[] low, float[] high) = ((float[])min.Clone(), (float[])max.Clone());
        if (counts.Length > 0)
        {
            (low, high) = (new float[counts.Length], new float[counts.Length]);
            for (int c = 0; c < low.Length; c++)
            {
                low[c] = Total(minSum[c], minTerms) / counts[c];
                high[c] = Total(maxSum[c], maxTerms) / counts[c];
            }
            if (symmetric)
                MakeSymmetric(low, high);
            float weight = (float)Spec.AveragingConstant;
            for (int c = 0; c < min.Length; c++)
            {
                low[c] = min[c] + weight * (low[c] - min[c]);
                high[c] = max[c] + weight * (high[c] - max[c]);
            }
        }
        else if (symmetric)
            MakeSymmetric(low, high);
        return (low, high);
    }

    private static void MakeSymmetric(float[] low, float[] high)
    {
        for (int c = 0; c < low.Length; c++)
        {
            high[c] = MathF.Max(MathF.Abs(low[c]), MathF.Abs(high[c]));
            low[c] = -high[c];
        }
    }
}
