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

    /// <summary>Smallest value seen, signed also for a histogram of absolute values. NaN before the first.</summary>
    public float Min { get; set; } = float.NaN;

    public float Max { get; set; } = float.NaN;

    public long[] Counts { get; set; } = [];

    /// <summary>One more than there are counts.</summary>
    public float[] Edges { get; set; } = [];

    // The edges in the precision they are compared in, and how even they are; made anew when they change.
    private double[]? exactEdges;
    private EvenEdges? evenness;

    public bool IsEmpty => Counts.Length == 0;

    /// <summary>Half the range of a signed histogram. All zeros so far: 0, with edges from -0.5 to 0.5.</summary>
    public float Threshold { get; set; }

    /// <summary>Takes a batch in; NaN is left out.</summary>
    /// <exception cref="QuantException">NotFinite: an infinity, on which numpy.histogram fails. InvalidArgument: the range grew too
    /// far.</exception>
    /// <param name="data">The batch.</param>
    /// <param name="range">Its extremes.</param>
    public void Collect(ReadOnlySpan<float> data, ValueRange range)
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
            CollectAbsolute(data, low, high);
        else
            CollectSigned(data, MathF.Max(MathF.Abs(low), MathF.Abs(high)));
        (Min, Max) = (float.MinNumber(Min, low), float.MaxNumber(Max, high));
    }

    private void CollectSigned(ReadOnlySpan<float> data, float threshold)
    {
        int added = 0;
        if (IsEmpty)
        {
            Counts = new long[bins];
            Threshold = threshold;
        }
        else if (Threshold == 0)
            Threshold = threshold;
        else if (threshold > Threshold)
        {
            float stride = 2 * Threshold / Counts.Length;
            float strides = FloorDivide(threshold - Threshold, stride) + 1;
            CheckSize(Counts.Length + 2.0 * strides);
            added = (int)strides;
            Threshold = added * stride + Threshold;
            long[] wider = new long[Counts.Length + 2 * added];
            Counts.CopyTo(wider, added);
            Counts = wider;
        }
        (float first, float last) = OuterEdges(-Threshold, Threshold);
        if (added > 0 || Edges.Length == 0 || Edges[0] != first)
        {
            Edges = Linspace(first, last, Counts.Length + 1);
            exactEdges = null;
        }
        CountUniform(data, first, last, absolute: false);
    }

    private void CollectAbsolute(ReadOnlySpan<float> data, float low, float high)
    {
        float largest = MathF.Max(MathF.Abs(low), MathF.Abs(high));
        if (IsEmpty)
        {
            float smallest = float.NaN;
            foreach (float v in data)
                smallest = float.MinNumber(smallest, MathF.Abs(v));
            (float first, float last) = OuterEdges(smallest, largest);
            Counts = new long[bins];
            Edges = Linspace(first, last, bins + 1);
            CountUniform(data, first, last, absolute: true);
            return;
        }
        if (largest > Edges[^1])
        {
            float width = Edges[1] - Edges[0];
            float from = Edges[^1] + width, to = largest + width;
            double length = Math.Ceiling((double)((to - from) / width));
            CheckSize(Counts.Length + length);
            // numpy.arange gives float64 for float32 ends; the step is the difference of its first two elements. This batch is counted between
            // these edges, the next one between their float32 values.
            double step = (float)(from + width) - (double)from;
            double[] edges = [.. Edges.Select(e => (double)e), .. Enumerable.Range(0, (int)Math.Max(0, length)).Select(i => from + i * step)];
            long[] wider = new long[edges.Length - 1];
            Counts.CopyTo(wider, 0);
            Counts = wider;
            CountAbsolute(data, edges);
            Edges = Array.ConvertAll(edges, e => (float)e);
            exactEdges = null;
        }
        else
            CountAbsolute(data, exactEdges ??= Array.ConvertAll(Edges, e => (double)e));
    }

    private void CountAbsolute(ReadOnlySpan<float> data, double[] edges)
    {
        if (evenness?.Edges != edges)
            evenness = new EvenEdges(edges);
        EdgeCounter.Count(data, Counts, evenness.Value, absolute: true, values =>
        {
            foreach (float x in values)
            {
                if (x >= edges[0] && x <= edges[^1])
                    Counts[BinOf(edges, x)]++;
            }
        });
    }

    /// <summary>numpy.histogram with a range: a bin by arithmetic, corrected by the edges.</summary>
    private void CountUniform(ReadOnlySpan<float> data, float first, float last, bool absolute)
    {
        int count = Counts.Length;
        float width = last - first;
        if (exactEdges is null || evenness?.Edges != exactEdges)
            evenness = new EvenEdges(exactEdges = Array.ConvertAll(Edges, e => (double)e));
        EdgeCounter.Count(data, Counts, evenness.Value, absolute, values =>
        {
            foreach (float x in values)
            {
                if (!(x >= first && x <= last))
                    continue;
                int at = Math.Min((int)((x - first) / width * count), count - 1);
                if (x < Edges[at])
                    at--;
                else if (at != count - 1 && x >= Edges[at + 1])
                    at++;
                Counts[at < 0 ? count - 1 : at]++;
            }
        });
    }

    /// <summary>An empty range is widened by a half to each side.</summary>
    private static (float First, float Last) OuterEdges(float first, float last) => first == last ? (first - 0.5f, last + 0.5f) : (first, last);

    /// <summary>numpy.linspace in float32: index times step, plus start; the last one is the end itself.</summary>
    private static float[] Linspace(float start, float end, int count)
    {
        var points = new float[count];
        float delta = end - start, step = delta / (count - 1);
        for (int k = 0; k < count - 1; k++)
            points[k] = (step == 0 ? k / (float)(count - 1) * delta : k * step) + start;
        points[^1] = end;
        return points;
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

    /// <summary>The bin [e, f) that a value lies in. The edges are all but equally far apart, so that a guess is at most a few bins
    /// off.</summary>
    private static int BinOf(double[] edges, double value)
    {
        int last = edges.Length - 2;
        double width = edges[^1] - edges[0];
        int at = width > 0 ? Math.Clamp((int)((value - edges[0]) / width * (last + 1)), 0, last) : last;
        while (at < last && edges[at + 1] <= value)
            at++;
        while (at > 0 && edges[at] > value)
            at--;
        return at;
    }
}
