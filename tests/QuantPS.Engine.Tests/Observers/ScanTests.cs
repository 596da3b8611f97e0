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
            Assert.Equal(ValueRange.Of(batch), scanned.Prepare(batch, [batch.Length]));
            scanned.Commit();
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
            scanned.Prepare(Array.ConvertAll(batch, v => v / 2), [batch.Length]);
            scanned.Observe(batch, [batch.Length]);
            Same(plain, scanned);
        }
    }

    [Theory]
    [InlineData(false, 4, false), InlineData(false, 8, false), InlineData(false, 16, false), InlineData(true, 4, false), InlineData(true, 8, false), InlineData(true, 16, false)]
    [InlineData(false, 16, true), InlineData(true, 4, true)]
    public void CountsAreThoseOfTheRule(bool absolute, int lanes, bool threads)
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
                int[] expected = new int[bins], counts = new int[bins + 1];
                foreach (float v in data)
                {
                    if (rule.BinOf(absolute ? MathF.Abs(v) : v) is int bin and >= 0)
                        expected[bin]++;
                }
                ValueRange range = EdgeCounter.Count(data, counts, new EvenEdges(low, high, bins), absolute, rule, threads ? new Helpers() : null, lanes);
                Assert.Equal(expected, counts[..bins]);
                Assert.Equal(ValueRange.Of(data), range);
            }
        }
    }

    [Theory, InlineData(4), InlineData(8), InlineData(16)]
    public void EdgesThatGrewUnevenAreTheRules(int lanes)
    {
        Random random = new(17);
        // Even at first, then a little wider, then at random.
        float[] edges = new float[257];
        for (int k = 1; k < edges.Length; k++)
            edges[k] = edges[k - 1] + (k <= 128 ? 0.01f : k <= 192 ? 0.0101f : 0.001f + 0.02f * random.NextSingle());
        foreach (int even in new[] { 128, 192, 256 })
        {
            float[] data = new float[50_000];
            foreach (ref float v in data.AsSpan())
                v = random.Next(5) == 0 ? edges[random.Next(edges.Length)] : 3f * random.NextSingle() - 0.1f;
            int[] expected = new int[256], counts = new int[257];
            EdgeRule rule = new(edges);
            foreach (float v in data)
            {
                if (rule.BinOf(v) is int bin and >= 0)
                    expected[bin]++;
            }
            Assert.Equal(ValueRange.Of(data), EdgeCounter.Count(data, counts, EvenEdges.Of(edges, even), absolute: false, rule, lanes: lanes));
            Assert.Equal(expected, counts[..256]);
        }
    }

    [Theory, MemberData(nameof(Specs))]
    public void ThreadsDoNotMatter(ObserverSpec spec)
    {
        Observer alone = spec.Create(), shared = spec.Create();
        foreach (float[] batch in Batches(300_007))
        {
            Assert.Equal(alone.Prepare(batch, [batch.Length]), shared.Prepare(batch, [batch.Length], new Helpers()));
            alone.Commit();
            shared.Commit();
            Same(alone, shared);
        }
    }

    /// <summary>Per tensor or per channel, of a few elements or enough for several threads, with NaN in one channel.</summary>
    [Theory]
    [InlineData(ObserverKind.PerChannelMinMax, 1), InlineData(ObserverKind.PerChannelMinMax, 0), InlineData(ObserverKind.MovingAveragePerChannelMinMax, 1)]
    [InlineData(ObserverKind.MinMax, 1), InlineData(ObserverKind.Histogram, 1), InlineData(ObserverKind.Percentile, 1), InlineData(ObserverKind.Recording, 1)]
    public void BlocksOfChannelsAreObservedAsPlanes(ObserverKind kind, int axis)
    {
        Random random = new(13);
        foreach (int block in new[] { 1, 4, 8, 16 })
        {
            bool perChannel = kind is ObserverKind.PerChannelMinMax or ObserverKind.MovingAveragePerChannelMinMax;
            ObserverSpec spec = new() { Kind = kind, Scheme = perChannel ? QScheme.PerChannelAffine : QScheme.PerTensorAffine, ChannelAxis = axis };
            Observer planes = spec.Create(), blocks = spec.Create();
            foreach ((int channels, int height, int width, bool nan) in new[] { (16, 3, 5, false), (16, 1, 1, false), (16, 80, 81, false), (16, 7, 7, true) })
            {
                const int n = 2;
                int pixels = height * width;
                int[] shape = [n, channels, height, width];
                float[] data = new float[n * channels * pixels], blocked = new float[data.Length];
                foreach (ref float v in data.AsSpan())
                    v = random.Next(5) == 0 ? -0f : random.NextSingle() - 0.3f;
                if (nan)
                    data[5 * pixels + 3] = float.NaN;
                for (int i = 0; i < data.Length; i++)
                {
                    int c = i / pixels % channels;
                    blocked[i / (channels * pixels) * channels * pixels + (c / block * pixels + i % pixels) * block + c % block] = data[i];
                }
                planes.Observe(data, shape);
                Assert.Equal(ValueRange.Of(data), blocks.Prepare(blocked, shape, new Helpers(), block: block));
                blocks.Commit();
                Same(planes, blocks);
                Assert.Equal(planes.Save().Parts.Select(p => p.Data), blocks.Save().Parts.Select(p => p.Data));
            }
        }
    }

    [Theory, MemberData(nameof(Specs))]
    public void AKnownRangeIsTheOneThatWouldBeFound(ObserverSpec spec)
    {
        Observer plain = spec.Create(), told = spec.Create();
        foreach (float[] batch in Batches())
        {
            plain.Observe(batch, [batch.Length]);
            Assert.Equal(ValueRange.Of(batch), told.Prepare(batch, [batch.Length], range: ValueRange.Of(batch)));
            told.Commit();
            Same(plain, told);
        }
    }

    [Theory, InlineData(ObserverKind.MovingAverageMinMax), InlineData(ObserverKind.MinMax), InlineData(ObserverKind.Histogram), InlineData(ObserverKind.Recording)]
    public void CommittedTwiceIsSeenTwiceWhereThatMatters(ObserverKind kind)
    {
        Observer plain = new ObserverSpec { Kind = kind }.Create(), prepared = new ObserverSpec { Kind = kind }.Create();
        foreach (float[] batch in Batches())
        {
            for (int t = plain.IsIdempotent ? 1 : 0; t < 2; t++)
                plain.Observe(batch, [batch.Length]);
            prepared.Prepare(batch, [batch.Length]);
            prepared.Commit(2);
            // There is nothing left to commit.
            prepared.Commit();
            Same(plain, prepared);
        }
    }

    [Theory, MemberData(nameof(Specs))]
    public void NonFiniteAndEmptyTensorsArePreparedAsObserved(ObserverSpec spec)
    {
        Observer plain = spec.Create(), prepared = spec.Create();
        foreach (float[] batch in new float[][] { [1, 2, 3], [], [float.NaN, 1], [-4, float.PositiveInfinity], [5] })
        {
            Exception? expected = Record.Exception(() => plain.Observe(batch, [batch.Length]));
            Exception? actual = Record.Exception(() =>
            {
                prepared.Prepare(batch, [batch.Length]);
                prepared.Commit();
            });
            Assert.Equal(expected?.Message, actual?.Message);
            Same(plain, prepared);
        }
    }

    [Fact]
    public void AddingManyTimesRoundsEveryTime()
    {
        Random random = new(5);
        for (int i = 0; i < 20_000; i++)
        {
            double sum = random.Next(3) == 0 ? 0 : Math.ScaleB(random.NextDouble(), random.Next(-5, 60)), value = (float)Math.ScaleB(random.NextDouble(), random.Next(-35, 12));
            if (random.Next(4) == 0)
                value = (Math.BitIncrement(sum) - sum) * random.Next(1, 9) / 2;
            int times = random.Next(1, 129);
            double expected = sum;
            for (int t = 0; t < times; t++)
                expected += value;
            Assert.Equal(expected, HistogramV113.AddTimes(sum, value, times));
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
    private static IEnumerable<float[]> Batches(int length = 20_011)
    {
        Random random = new(11);
        foreach (float spread in new[] { 2f, 1.5f, 2f, 2.4f, 0.5f, 9f, 3f, 9.1f })
        {
            float[] batch = new float[length];
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

    private sealed class Helpers : IWorkSharing
    {
        public int Threads => 3;

        public void Run(int count, Action<int> part) => Parallel.For(0, count, part);
    }

    private readonly struct EdgeRule(float[] edges) : IBinRule
    {
        public int BinOf(float value)
        {
            int at = Array.BinarySearch(edges, value);
            at = at < 0 ? ~at - 1 : at;
            return value == edges[^1] ? edges.Length - 2 : at >= edges.Length - 1 ? -1 : at;
        }
    }

    private readonly struct Rule(float low, float high, int bins) : IBinRule
    {
        public int BinOf(float value) => value >= low && value <= high && low < high ? Math.Min((int)((value - low) * bins / (high - low)), bins - 1) : -1;
    }
}
