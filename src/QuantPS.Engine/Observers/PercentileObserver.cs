using QuantPS.Engine.Errors;

namespace QuantPS.Engine.Observers;

/// <summary>ONNX Runtime's Percentile calibrator: the range that holds a given share of the values, 99.999 % by default.</summary>
/// <remarks>Source: onnxruntime/python/tools/quantization/calibrate.py HistogramCollector.compute_percentile. Symmetric by default, as
/// create_calibrator makes
/// it: a histogram of absolute values, the range from -e to e; <see cref="ObserverSpec.SymmetricRange"/> false cuts each side of a signed
/// one. Ends
/// are edges of the histogram, and never beyond what was seen.</remarks>
public sealed class PercentileObserver : OrtHistogramObserver
{
    private readonly bool symmetric;

    /// <exception cref="QuantException">UnsupportedScheme: a per-channel scheme. InvalidArgument: no bins; a percentile that is not above 0
    /// and at most 100.</exception>
    public PercentileObserver(ObserverSpec spec) : base(spec, absolute: spec.SymmetricRange ?? true)
    {
        symmetric = spec.SymmetricRange ?? true;
        if (!(spec.Percentile > 0 && spec.Percentile <= 100))
            throw new QuantException(ErrorIds.InvalidArgument,
                $"A percentile of {spec.Percentile}: give the share of values to cover, above 0 and at most 100.", spec);
    }

    private protected override (float Min, float Max) Choose(OrtHistogram histogram)
    {
        long[] counts = histogram.Counts.ToArray();
        double total = counts.Sum(), sum = 0;
        double[] cumulative = [.. counts.Select(c => sum += c / total)];
        if (symmetric)
        {
            float end = histogram.Edges[LowerBound(cumulative, Spec.Percentile / 100.0)];
            return Limit(histogram, -end, end);
        }
        double cut = (100.0 - Spec.Percentile) / 200.0;
        return Limit(histogram, histogram.Edges[LowerBound(cumulative, cut)], histogram.Edges[LowerBound(cumulative, 1.0 - cut)]);
    }

    /// <summary>numpy.searchsorted: the first position whose value is not less; the length when there is none.</summary>
    private static int LowerBound(double[] ascending, double value)
    {
        int at = Array.FindIndex(ascending, v => v >= value);
        return at < 0 ? ascending.Length : at;
    }
}
