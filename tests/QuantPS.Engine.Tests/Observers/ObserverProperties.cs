using CsCheck;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Tests.Observers;

/// <summary>What holds for all sequences of batches.</summary>
public class ObserverProperties
{
    private static readonly Gen<float[][]> Batches = Gen.Float[-1e4f, 1e4f].Array[0, 30].Array[1, 8];
    private static readonly ObserverSpec MinMax = new();
    private static readonly ObserverSpec Histogram = new() { Kind = ObserverKind.Histogram, Bins = 64 };

    private static Observer Observe(ObserverSpec spec, IEnumerable<float[]> batches)
    {
        Observer o = spec.Create();
        foreach (float[] b in batches)
            o.Observe(new Tensor([b.Length], b));
        return o;
    }

    private static Observer MergeAll(ObserverSpec spec, IEnumerable<float[]> batches)
    {
        Observer o = spec.Create();
        foreach (float[] b in batches)
            o.Merge(Observe(spec, [b]));
        return o;
    }

    private static bool Same(Observer a, Observer b)
    {
        QParams p = a.CalculateQParams(), q = b.CalculateQParams();
        return a.MinValues.SequenceEqual(b.MinValues) && a.MaxValues.SequenceEqual(b.MaxValues) && a.Histogram.SequenceEqual(b.Histogram)
            && p.Scales.SequenceEqual(q.Scales) && p.ZeroPoints.SequenceEqual(q.ZeroPoints)
            && (a.BatchCount, a.ElementCount, a.NonFiniteCount) == (b.BatchCount, b.ElementCount, b.NonFiniteCount);
    }

    [Fact]
    public void MinMaxMergedInAnyOrderIsMinMaxOfEverything() =>
        Gen.Select(Batches, Gen.Int).Holds((batches, seed) =>
        {
            float[][] shuffled = [.. batches];
            new Random(seed).Shuffle(shuffled);
            return Same(Observe(MinMax, batches), MergeAll(MinMax, shuffled));
        });

    [Fact]
    public void HistogramsMergeToTheSameBitsInAnyOrder() =>
        Gen.Select(Batches, Gen.Int).Holds((batches, seed) =>
        {
            float[][] shuffled = [.. batches];
            new Random(seed).Shuffle(shuffled);
            return Same(MergeAll(Histogram, batches), MergeAll(Histogram, shuffled));
        });

    [Fact]
    public void HistogramsKeepEveryElement() =>
        Batches.Holds(batches =>
        {
            Observer o = Observe(Histogram, batches);
            // Sixteenths of small counts are exact in float32; deeper fractions lose a little.
            return Math.Abs(o.Histogram.ToArray().Sum(v => (double)v) - o.ElementCount) <= 1e-3;
        });

    [Fact]
    public void TheChosenRangeLiesInTheObservedOne() =>
        Batches.Where(b => b.Any(x => x.Length > 0)).Holds(batches =>
        {
            Observer o = Observe(Histogram, batches);
            (float[] min, float[] max) = o.SelectRange();
            float slack = 1e-5f * (o.MaxValues[0] - o.MinValues[0]);
            return min[0] >= o.MinValues[0] - slack && max[0] <= o.MaxValues[0] + slack && min[0] <= max[0];
        });

    [Fact]
    public void PerChannelIsPerTensorOfEveryChannel() =>
        Gen.Select(Gen.Int[1, 4], Gen.Int[1, 4], Gen.Int[1, 20], Gen.Int[0, 2], Gen.Int).Holds((a, b, c, axis, seed) =>
        {
            Random rng = new(seed);
            int[] shape = [a, b, c];
            Tensor x = new(shape, Enumerable.Range(0, a * b * c).Select(_ => rng.NextSingle() - 0.3f).ToArray());
            Observer o = new ObserverSpec { Kind = ObserverKind.PerChannelMinMax, Scheme = QScheme.PerChannelAffine, ChannelAxis = axis }.Create();
            o.Observe(x);
            for (int channel = 0; channel < shape[axis]; channel++)
            {
                float[] slice = [.. Enumerable.Range(0, x.Length).Where(i => (axis == 0 ? i / (b * c) : axis == 1 ? i / c % b : i % c) == channel).Select(i => x.Span[i])];
                if (o.MinValues[channel] != slice.Min() || o.MaxValues[channel] != slice.Max())
                    return false;
            }
            return true;
        });
}
