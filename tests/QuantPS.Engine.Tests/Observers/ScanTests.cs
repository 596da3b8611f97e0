using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;

namespace QuantPS.Engine.Tests.Observers;

/// <summary>Counting while looking for the extremes, and counting many at a time, give what counting one by one gives.</summary>
public class ScanTests
{
    public static TheoryData<ObserverSpec> Specs =>
    [
        new ObserverSpec(), new ObserverSpec { Kind = ObserverKind.Histogram }, new ObserverSpec { Kind = ObserverKind.Histogram, TorchVersion = TorchVersion.V1_13 },
        new ObserverSpec { Kind = ObserverKind.Histogram, Bins = 100, TorchVersion = TorchVersion.V1_13 }, new ObserverSpec { Kind = ObserverKind.Mse, Bins = 1000 },
        new ObserverSpec { Kind = ObserverKind.Entropy, Bins = 128 }, new ObserverSpec { Kind = ObserverKind.Percentile },
        new ObserverSpec { Kind = ObserverKind.Percentile, SymmetricRange = false }, new ObserverSpec { Kind = ObserverKind.Distribution },
        new ObserverSpec { Kind = ObserverKind.OrtMinMax },
    ];

    [Theory, MemberData(nameof(Specs))]
    public void ScannedBatchesAreObservedAsOthers(ObserverSpec spec)
    {
        Observer plain = spec.Create(), scanned = spec.Create();
        foreach (float[] batch in Batches())
        {
            plain.Observe(batch, [batch.Length]);
            Assert.Equal(ValueRange.Of(batch), scanned.Scan(batch));
            scanned.ObserveScanned(batch, [batch.Length]);
            Same(plain, scanned);
        }
        Assert.True(plain.BatchCount == 8);
    }

    [Theory, MemberData(nameof(Specs))]
    public void AScanAloneLeavesNoTrace(ObserverSpec spec)
    {
        Observer plain = spec.Create(), scanned = spec.Create();
        foreach (float[] batch in Batches())
        {
            plain.Observe(batch, [batch.Length]);
            // As when another value of the batch was not finite: the batch is dropped, the next one observed.
            scanned.Scan(Array.ConvertAll(batch, v => v / 2));
            scanned.Observe(batch, [batch.Length]);
            Same(plain, scanned);
        }
    }

    [Theory]
    [InlineData(false, false), InlineData(false, true), InlineData(true, false), InlineData(true, true)]
    public void CountsAreThoseOfTheRule(bool absolute, bool compress)
    {
        Random random = new(3);
        foreach ((float low, float high, int bins) in new[] { (0f, 6f, 2048), (-1f, 1f, 128), (-3.3f, -0.7f, 2048), (0f, 1e-41f, 64), (-1e30f, 2e30f, 333), (5f, 5f, 16) })
        {
            Rule rule = new(low, high, bins);
            foreach (int length in new[] { 0, 1, 17, 700, 9001, 100_003 })
            {
                float[] data = new float[length];
                foreach (ref float v in data.AsSpan())
                {
                    v = random.Next(8) switch
                    {
                        < 3 => random.Next(2) == 0 ? 0f : -0f,
                        3 => high,
                        // An edge, or a neighbour of one.
                        4 => MathF.BitIncrement(low + (high - low) * random.Next(bins + 1) / bins),
                        5 => random.Next(40) == 0 ? float.NaN : random.Next(40) == 0 ? float.PositiveInfinity : low - (high - low) * random.NextSingle(),
                        _ => low + (high - low) * random.NextSingle(),
                    };
                }
                int[] expected = new int[bins], counts = new int[bins];
                foreach (float v in data)
                {
                    if (rule.BinOf(absolute ? MathF.Abs(v) : v) is int bin and >= 0)
                        expected[bin]++;
                }
                EdgeCounter.Count(data, counts, new EvenEdges(low, high, bins), absolute, rule, compress);
                Assert.Equal(expected, counts);
            }
        }
    }

    private static void Same(Observer a, Observer b)
    {
        ObserverState x = a.Save(), y = b.Save();
        Assert.Equal((x.BatchCount, x.ElementCount, x.NonFiniteCount, x.Parts.Length), (y.BatchCount, y.ElementCount, y.NonFiniteCount, y.Parts.Length));
        for (int p = 0; p < x.Parts.Length; p++)
        {
            Assert.Equal(x.Parts[p].Min, y.Parts[p].Min);
            Assert.Equal(x.Parts[p].Max, y.Parts[p].Max);
            Assert.Equal(x.Parts[p].Counts, y.Parts[p].Counts);
            Assert.Equal(x.Parts[p].Tally, y.Parts[p].Tally);
            Assert.Equal(x.Parts[p].Edges, y.Parts[p].Edges);
        }
    }

    /// <summary>Of a ReLU, of a clip, of a layer without either; within the range so far, beyond it at the end, and jumping.</summary>
    private static IEnumerable<float[]> Batches()
    {
        Random random = new(11);
        foreach (float spread in new[] { 2f, 1.5f, 2f, 2.4f, 0.5f, 9f, 3f, 9.1f })
        {
            float[] batch = new float[20_011];
            foreach (ref float v in batch.AsSpan())
                v = MathF.Min(spread, MathF.Max(-0.7f * spread, (random.NextSingle() + random.NextSingle() - 0.7f) * spread));
            if (random.Next(2) == 0)
            {
                foreach (ref float v in batch.AsSpan())
                    v = MathF.Max(v, 0);
            }
            yield return batch;
        }
    }

    private readonly struct Rule(float low, float high, int bins) : IBinRule
    {
        public int BinOf(float value) => value >= low && value <= high && low < high ? Math.Min((int)((value - low) * bins / (high - low)), bins - 1) : -1;
    }
}
