using QuantPS.Engine.Errors;

namespace QuantPS.Engine.Observers;

/// <summary>ONNX Runtime's Entropy calibrator: of the ranges around the histogram's middle, the one whose quantized form has the smallest
/// Kullback-Leibler divergence from the values.</summary>
/// <remarks>Source: onnxruntime/python/tools/quantization/calibrate.py HistogramCollector.get_entropy_threshold, smooth_distribution. float32
/// where ONNX
/// Runtime's NumPy is, sums in NumPy's order; its float32 logarithm differs in the last bits between CPUs, so that of two candidates equally
/// good
/// to 1e-7 the other one may win there.</remarks>
public sealed class EntropyObserver : OrtHistogramObserver
{
    private const double Smoothing = 1e-4;

    /// <exception cref="QuantException">UnsupportedScheme: a per-channel scheme. InvalidArgument: no bins; quantized bins outside
    /// 2..bins.</exception>
    public EntropyObserver(ObserverSpec spec) : base(spec, absolute: false)
    {
        if (spec.QuantizedBins < 2 || spec.QuantizedBins > spec.Bins)
        {
            throw new QuantException(ErrorIds.InvalidArgument,
                $"{spec.QuantizedBins} quantized bins of {spec.Bins}: give at least 2, and no more than there are bins.", spec);
        }
    }

    private protected override (float Min, float Max) Choose(OrtHistogram histogram)
    {
        long[] counts = histogram.Counts.ToArray();
        int middle = counts.Length / 2;
        float best = float.NaN;
        (float Min, float Max) chosen = default;
        for (int i = Spec.QuantizedBins / 2; i <= middle; i++)
        {
            int from = middle - i, to = Math.Min(middle + i + 1, counts.Length);
            float divergence = Divergence(counts, from, to);
            if (float.IsNaN(best) || divergence < best)
                (best, chosen) = (divergence, (histogram.Edges[from], histogram.Edges[to]));
        }
        return Limit(histogram, chosen.Min, chosen.Max);
    }

    private float Divergence(long[] counts, int from, int to)
    {
        long[] p = counts[from..to], q = new long[p.Length];
        int size = p.Length / Spec.QuantizedBins;
        for (int g = 0; g < Spec.QuantizedBins; g++)
        {
            // The remainder goes to the last group's sum, but its bins stay 0.
            long sum = p[(g * size)..(g == Spec.QuantizedBins - 1 ? p.Length : (g + 1) * size)].Sum();
            Array.Fill(q, sum, g * size, size);
        }
        // The ends take in what lies outside; from here on a bin counts as filled when it holds something then.
        p[0] += counts[..from].Sum();
        p[^1] += counts[to..].Sum();
        for (int g = 0; g < Spec.QuantizedBins; g++)
        {
            int filled = p[(g * size)..((g + 1) * size)].Count(c => c != 0);
            for (int k = g * size; k < (g + 1) * size; k++)
                q[k] = filled == 0 ? 0 : q[k] / filled;
        }
        return Smooth(p) is float[] a && Smooth(q) is float[] b ? Divergence(a, b) : float.PositiveInfinity;
    }

    /// <summary>A little mass from the filled bins to the empty ones; null when all are empty.</summary>
    private static float[]? Smooth(long[] counts)
    {
        int empty = counts.Count(c => c == 0);
        if (empty == counts.Length)
            return null;
        float give = (float)Smoothing, take = (float)-(Smoothing * empty / (counts.Length - empty));
        return Array.ConvertAll(counts, c => c + (c == 0 ? give : take));
    }

    private static float Divergence(float[] p, float[] q)
    {
        float pSum = PairwiseSum.Of<float, float>(p), qSum = PairwiseSum.Of<float, float>(q);
        var terms = new float[p.Length];
        for (int i = 0; i < terms.Length; i++)
        {
            (float a, float b) = (p[i] / pSum, q[i] / qSum);
            terms[i] = a > 0 && b > 0 ? a * (float)Math.Log(a / b) : float.PositiveInfinity;
        }
        return PairwiseSum.Of<float, float>(terms);
    }
}
