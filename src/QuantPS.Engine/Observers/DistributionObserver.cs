using QuantPS.Engine.Errors;

namespace QuantPS.Engine.Observers;

/// <summary>ONNX Runtime's Distribution calibrator: mean and standard deviation of the values, for float8 scales. Its range, and so its integer
/// parameters, are those of the histogram's outer edges.</summary>
/// <remarks>Source: onnxruntime/python/tools/quantization/calibrate.py HistogramCollector.compute_distribution, scenario "same".</remarks>
public sealed class DistributionObserver : OrtHistogramObserver
{
    private const int FewestBins = 512;

    /// <exception cref="QuantException">UnsupportedScheme: a per-channel scheme. InvalidArgument: fewer than 512 bins, as in ONNX
    /// Runtime.</exception>
    public DistributionObserver(ObserverSpec spec) : base(spec, absolute: false)
    {
        if (spec.Bins < FewestBins)
            throw new QuantException(ErrorIds.InvalidArgument,
                $"DistributionObserver needs at least {FewestBins} bins, as in ONNX Runtime, not {spec.Bins}.", spec);
    }

    /// <summary>Mean of the values, each at the middle of its bin; NaN before the first.</summary>
    public double Mean => Moment(v => v);

    /// <summary>Standard deviation of the values, each at the middle of its bin.</summary>
    public double StandardDeviation => Math.Sqrt(Moment(v => v * v) - Mean * Mean);

    private protected override (float Min, float Max) Choose(OrtHistogram histogram) => (histogram.Edges[0], histogram.Edges[^1]);

    private double Moment(Func<float, float> power)
    {
        ReadOnlySpan<float> edges = BinEdges;
        ReadOnlySpan<long> counts = Counts;
        double total = 0;
        var terms = new double[counts.Length];
        for (int i = 0; i < terms.Length; i++)
        {
            terms[i] = counts[i] * (double)power((edges[i] + edges[i + 1]) * 0.5f);
            total += counts[i];
        }
        return PairwiseSum.Of<double, double>(terms) / total;
    }
}
