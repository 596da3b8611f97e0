using System.Buffers;
using System.Numerics;
using System.Runtime.CompilerServices;
using QuantPS.Engine.Errors;

namespace QuantPS.Engine.Observers;

/// <summary>The histogram of ONNX Runtime's calibrators: whole counts between float32 edges that grow by whole bins.</summary>
/// <remarks>Source: onnxruntime/python/tools/quantization/calibrate.py HistogramCollector; numpy/lib/histograms.py histogram,
/// core/function_base.py linspace,
/// under NumPy 2's promotion (all float32; NumPy 1 computes edges in float64, an ulp away). Each batch is a collect() of its own; a collect of
/// several batches in ONNX Runtime holds them all in memory and takes its first range from all of them.</remarks>
internal sealed class OrtHistogram(int bins, bool absolute)
{
    /// <summary>So many bins are never reached by data of one kind; a range that jumps a million times would ask for gigabytes.</summary>
    private const int MaxBins = 1 << 24;

    /// <summary>Times the bins that there were, up to which these hold most values of whatever is spread about zero.</summary>
    private const int MostGrown = 4;

    /// <summary>Smallest value seen, signed also for a histogram of absolute values. NaN before the first.</summary>
    public float Min { get; set; } = float.NaN;

    public float Max { get; set; } = float.NaN;

    // Both have room to grow from the first on: edges are added a few at a time, and what is left of smaller arrays would add up.
    private long[] counts = [];
    private float[] edges = [];
    private int size;
    private EvenEdges even;

    public ReadOnlySpan<long> Counts => counts.AsSpan(0, size);

    /// <summary>One more than there are counts.</summary>
    public ReadOnlySpan<float> Edges => edges.AsSpan(0, size == 0 ? 0 : size + 1);

    public bool IsEmpty => size == 0;

    /// <summary>Half the range of a signed histogram. All zeros so far: 0, with edges from -0.5 to 0.5.</summary>
    public float Threshold { get; set; }

    /// <summary>Takes a batch in; NaN is left out.</summary>
    /// <exception cref="QuantException">NotFinite: an infinity, on which numpy.histogram fails. InvalidArgument: the range grew too
    /// far.</exception>
    /// <param name="data">The batch.</param>
    /// <param name="range">Its extremes.</param>
    /// <param name="threads">Who may help.</param>
    public void Collect(ReadOnlySpan<float> data, ValueRange range, IWorkSharing? threads)
    {
        (float low, float high) = range;
        if (float.IsNaN(low))
        {
            (low, high) = (float.NaN, float.NaN);
            foreach (float v in data)
            {
                low = float.MinNumber(low, v);
                high = float.MaxNumber(high, v);
            }
            if (float.IsNaN(low))
                return;
        }
        if (float.IsInfinity(low) || float.IsInfinity(high))
            throw new QuantException(ErrorIds.NotFinite,
                "The data holds an infinity, on which ONNX Runtime's histogram fails. Leave the sample out, or use MinMax or Histogram.");
        if (absolute)
            CollectAbsolute(data, low, high, threads);
        else
            CollectSigned(data, MathF.Max(MathF.Abs(low), MathF.Abs(high)), threads);
        (Min, Max) = (float.MinNumber(Min, low), float.MaxNumber(Max, high));
    }

    /// <summary>Puts counts and edges back.</summary>
    public void Restore(ReadOnlySpan<long> counts, ReadOnlySpan<float> edges)
    {
        if (counts.IsEmpty)
            return;
        (this.counts, this.edges, size) = (counts.ToArray(), edges.ToArray(), counts.Length);
        even = Spacing();
    }

    /// <summary>Adds the counts of a histogram with the same edges.</summary>
    public void Add(ReadOnlySpan<long> more)
    {
        for (int b = 0; b < more.Length; b++)
            counts[b] += more[b];
    }

    /// <summary>The batch's extremes; its counts too, beside these, when it needs no further edges.</summary>
    public ValueRange CountAhead(BatchAhead ahead, ReadOnlySpan<float> data, IWorkSharing? threads)
    {
        ahead.Clear();
        if (IsEmpty || !absolute && Threshold == 0)
            return ValueRange.Of(data, threads);
        float end = absolute ? Edges[^1] : Threshold;
        ValueRange limits = new(-end, end);
        return absolute ? ahead.Count(data, even, absolute: true, new AscendingRule<float>(edges, size), limits, threads)
            : ahead.Count(data, even, absolute: false, new UniformRule(edges, size), limits, threads);
    }

    /// <summary>Takes in a batch that was counted ahead.</summary>
    /// <param name="batch">Its counts.</param>
    /// <param name="range">Its extremes.</param>
    public void Add(BatchAhead batch, ValueRange range)
    {
        Add(batch.Counts);
        (Min, Max) = (float.MinNumber(Min, range.Min), float.MaxNumber(Max, range.Max));
    }

    /// <summary>Becomes a copy of another one, in its own memory.</summary>
    public void CopyFrom(OrtHistogram other)
    {
        (Min, Max, Threshold, even, size) = (other.Min, other.Max, other.Threshold, other.even, other.size);
        if (counts.Length < size || edges.Length <= size)
            (counts, edges) = (new long[other.counts.Length], new float[other.edges.Length]);
        other.Counts.CopyTo(counts);
        other.Edges.CopyTo(edges);
    }

    private void CollectSigned(ReadOnlySpan<float> data, float threshold, IWorkSharing? threads)
    {
        int added = 0;
        if (IsEmpty)
        {
            Resize(bins, shift: 0);
            Threshold = threshold;
        }
        else if (Threshold == 0)
            Threshold = threshold;
        else if (threshold > Threshold)
        {
            float stride = 2 * Threshold / size;
            float strides = FloorDivide(threshold - Threshold, stride) + 1;
            CheckSize(size + 2.0 * strides);
            added = (int)strides;
            Threshold = added * stride + Threshold;
            Resize(size + 2 * added, added);
        }
        (float first, float last) = OuterEdges(-Threshold, Threshold);
        if (added > 0 || edges[0] != first || edges[size] != last)
            FillEdges(first, last);
        CountUniform(data, absolute: false, threads);
    }

    private void CollectAbsolute(ReadOnlySpan<float> data, float low, float high, IWorkSharing? threads)
    {
        float largest = MathF.Max(MathF.Abs(low), MathF.Abs(high));
        if (IsEmpty)
        {
            float smallest = float.NaN;
            foreach (float v in data)
                smallest = float.MinNumber(smallest, MathF.Abs(v));
            (float first, float last) = OuterEdges(smallest, largest);
            Resize(bins, shift: 0);
            FillEdges(first, last);
            CountUniform(data, absolute: true, threads);
            return;
        }
        if (!(largest > edges[size]))
        {
            Count(data, absolute: true, new AscendingRule<float>(edges, size), threads);
            return;
        }
        int old = size;
        float width = edges[1] - edges[0];
        float from = edges[old] + width, to = largest + width;
        double length = Math.Max(0, Math.Ceiling((double)((to - from) / width)));
        CheckSize(old + length);
        // numpy.arange gives float64 for float32 ends; the step is the difference of its first two elements. This batch is counted between
        // these edges, the next one between their float32 values.
        double step = (float)(from + width) - (double)from;
        Resize(old + (int)length, shift: 0);
        double[] exact = ArrayPool<double>.Shared.Rent(size + 1);
        for (int k = 0; k <= size; k++)
        {
            exact[k] = k <= old ? edges[k] : from + (k - old - 1) * step;
            edges[k] = (float)exact[k];
        }
        even = Spacing();
        Count(data, absolute: true, new AscendingRule<double>(exact, size), threads);
        ArrayPool<double>.Shared.Return(exact);
    }

    private void CountUniform(ReadOnlySpan<float> data, bool absolute, IWorkSharing? threads) => Count(data, absolute, new UniformRule(edges, size), threads);

    private void Count<TRule>(ReadOnlySpan<float> data, bool absolute, TRule rule, IWorkSharing? threads) where TRule : struct, IBinRule
    {
        int[] batch = ArrayPool<int>.Shared.Rent(size + 1);
        EdgeCounter.Count(data, batch, even, absolute, rule, threads);
        Add(batch);
        ArrayPool<int>.Shared.Return(batch);
    }

    private void Add(ReadOnlySpan<int> more)
    {
        Span<long> sums = counts.AsSpan(0, size);
        int b = 0;
        for (; b <= size - Vector<int>.Count; b += Vector<int>.Count)
        {
            Vector.Widen(new Vector<int>(more[b..]), out Vector<long> low, out Vector<long> high);
            (new Vector<long>(sums[b..]) + low).CopyTo(sums[b..]);
            (new Vector<long>(sums[(b + Vector<long>.Count)..]) + high).CopyTo(sums[(b + Vector<long>.Count)..]);
        }
        for (; b < size; b++)
            sums[b] += more[b];
    }

    /// <summary>More bins, the old ones so many bins further up; the edges are to be filled.</summary>
    private void Resize(int count, int shift)
    {
        if (count > counts.Length)
        {
            int room = 2 * count;
            Array.Resize(ref counts, room);
            Array.Resize(ref edges, room + 1);
        }
        Array.Copy(counts, 0, counts, shift, size);
        counts.AsSpan(0, shift).Clear();
        counts.AsSpan(shift + size, count - shift - size).Clear();
        size = count;
    }

    /// <summary>numpy.linspace in float32 over all edges.</summary>
    private void FillEdges(float first, float last)
    {
        Linspace(first, last, edges.AsSpan(0, size + 1));
        even = Spacing();
    }

    /// <summary>The bins that a histogram of absolute values began with hold most of them, and are even; those added since are each a rounding off.</summary>
    private EvenEdges Spacing() => EvenEdges.Of(Edges, absolute && size <= MostGrown * bins ? bins : size);

    /// <summary>numpy.histogram with a range: a bin by arithmetic, corrected by the edges.</summary>
    private readonly struct UniformRule(float[] edges, int bins) : IBinRule
    {
        public int BinOf(float value)
        {
            float first = edges[0], last = edges[bins];
            if (!(value >= first && value <= last))
                return -1;
            int at = Math.Min((int)((value - first) / (last - first) * bins), bins - 1);
            if (value < edges[at])
                at--;
            else if (at != bins - 1 && value >= edges[at + 1])
                at++;
            return at < 0 ? bins - 1 : at;
        }
    }

    /// <summary>numpy.histogram with edges: the bin [e, f) that a value lies in. They are all but equally far apart, so that a guess is at most a
    /// few bins off.</summary>
    private readonly struct AscendingRule<T>(T[] edges, int bins) : IBinRule where T : struct, INumber<T>
    {
        private readonly T perUnit = edges[bins] > edges[0] ? T.CreateTruncating(bins) / (edges[bins] - edges[0]) : T.Zero;

        public int BinOf(float value)
        {
            T x = T.CreateTruncating(value);
            if (!(x >= edges[0] && x <= edges[bins]))
                return -1;
            int at = Math.Clamp(int.CreateTruncating((x - edges[0]) * perUnit), 0, bins - 1);
            // What is asked for lies near an edge, on either side as often as on the other: without a branch.
            at += Unsafe.BitCast<bool, byte>(edges[at + 1] <= x & at < bins - 1);
            at -= Unsafe.BitCast<bool, byte>(edges[at] > x & at > 0);
            while (at < bins - 1 && edges[at + 1] <= x)
                at++;
            while (at > 0 && edges[at] > x)
                at--;
            return at;
        }
    }

    /// <summary>An empty range is widened by a half to each side.</summary>
    private static (float First, float Last) OuterEdges(float first, float last) => first == last ? (first - 0.5f, last + 0.5f) : (first, last);

    /// <summary>numpy.linspace in float32: index times step, plus start; the last one is the end itself.</summary>
    private static void Linspace(float start, float end, Span<float> points)
    {
        int count = points.Length;
        float delta = end - start, step = delta / (count - 1);
        for (int k = 0; k < count - 1; k++)
            points[k] = (step == 0 ? k / (float)(count - 1) * delta : k * step) + start;
        points[^1] = end;
    }

    /// <summary>numpy.floor_divide of positive numbers, by way of fmod.</summary>
    /// <remarks>Source: numpy/core/src/npymath/npy_math_internal.h.src npy_divmod.</remarks>
    private static float FloorDivide(float a, float b)
    {
        float quotient = (a - a % b) / b;
        float floor = MathF.Floor(quotient);
        return quotient - floor > 0.5f ? floor + 1 : floor;
    }

    private static void CheckSize(double size)
    {
        if (size <= MaxBins)
            return;
        throw new QuantException(ErrorIds.InvalidArgument,
            $"The values outgrew the first batch so far that ONNX Runtime's histogram would need {size:G3} bins. "
            + "Begin with a batch that is like the others, or use MinMax or Histogram.");
    }
}
