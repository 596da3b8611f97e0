using System.Text.Json;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;
using QuantPS.Engine.Tensors;
using QuantPS.Engine.Tests.Golden;

namespace QuantPS.Engine.Tests.Observers;

/// <summary>ONNX Runtime's calibrators against the NumPy reference that equals ONNX Runtime's own Python
/// (tests/golden/tools/ort_calibrators.py).</summary>
public class OrtCalibratorTests
{
    private const string File = "ort_calibrators_ref.json";

    public static TheoryData<string> MinMaxIds => GoldenFile.Ids(File, c => c.GetProperty("id").GetString()!.StartsWith("mm", StringComparison.Ordinal));

    public static TheoryData<string> HistogramIds => GoldenFile.Ids(File, c => c.GetProperty("id").GetString()!.StartsWith("hi", StringComparison.Ordinal));

    private static ObserverSpec Spec(ObserverKind kind) => new() { Kind = kind, Bins = 512 };

    private static Observer Observe(ObserverSpec spec, params float[][] batches)
    {
        Observer o = spec.Create();
        foreach (float[] b in batches)
            o.Observe(new Tensor([b.Length], b));
        return o;
    }

    [Theory, MemberData(nameof(MinMaxIds))]
    public void RangesOfMinMaxAreTheReferences(string id)
    {
        JsonElement golden = GoldenFile.Load(File)[id];
        Observer observer = new ObserverSpec
        {
            Kind = ObserverKind.OrtMinMax,
            Averaging = golden.GetProperty("averaging").GetBoolean(),
            SymmetricRange = golden.GetProperty("symmetric").GetBoolean(),
            Scheme = golden.GetProperty("per_channel").GetBoolean() ? QScheme.PerChannelAffine : QScheme.PerTensorAffine,
            ChannelAxis = 1,
            CollectSize = golden.GetProperty("collect").GetInt32(),
        }.Create();
        foreach (JsonElement batch in golden.GetProperty("batches").EnumerateArray())
            observer.Observe(batch.Tensor());
        ObserverGolden.AssertBits(golden.GetProperty("min").Singles(), observer.MinValues);
        ObserverGolden.AssertBits(golden.GetProperty("max").Singles(), observer.MaxValues);
    }

    [Theory, MemberData(nameof(HistogramIds))]
    public void HistogramEdgesAndRangeAreTheReferences(string id)
    {
        JsonElement golden = GoldenFile.Load(File)[id];
        ObserverSpec spec = new()
        {
            Kind = Enum.Parse<ObserverKind>(golden.GetProperty("method").GetString()!, ignoreCase: true),
            SymmetricRange = golden.GetProperty("symmetric").GetBoolean(),
            Bins = golden.GetProperty("bins").GetInt32(),
            QuantizedBins = golden.GetProperty("quantized_bins").GetInt32(),
            Percentile = golden.GetProperty("percentile").GetDouble(),
        };
        OrtHistogramObserver observer = (OrtHistogramObserver)spec.Create();
        foreach (JsonElement batch in golden.GetProperty("batches").EnumerateArray())
            observer.Observe(batch.Tensor());

        ObserverGolden.AssertBits(golden.GetProperty("edges").Elements<float>(), observer.BinEdges);
        long[] counts = new long[golden.GetProperty("size").GetInt32()];
        int[] index = golden.GetProperty("index").Integers();
        long[] count = golden.GetProperty("count").Elements<long>();
        for (int i = 0; i < index.Length; i++)
            counts[index[i]] = count[i];
        Assert.Equal(counts, observer.Counts.ToArray());
        (float[] low, float[] high) = observer.SelectRange();
        ObserverGolden.AssertBits([golden.GetProperty("lo").Single()], low);
        ObserverGolden.AssertBits([golden.GetProperty("hi").Single()], high);
        if (observer is DistributionObserver distribution)
        {
            Assert.Equal(golden.GetProperty("avg").GetDouble(), distribution.Mean);
            JsonElement std = golden.GetProperty("std");
            Assert.Equal(std.ValueKind == JsonValueKind.String ? double.NaN : std.GetDouble(), distribution.StandardDeviation);
        }
    }

    [Theory]
    [InlineData(ObserverKind.Entropy)]
    [InlineData(ObserverKind.Percentile)]
    [InlineData(ObserverKind.Distribution)]
    public void HistogramsMergeOnlyOnTheSameEdges(ObserverKind kind)
    {
        Observer all = Observe(Spec(kind), [-2, 1, 2], [0.5f, -1, 2], [2, -2, 0]), a = Observe(Spec(kind), [-2, 1, 2]), b = Observe(Spec(kind), [2, -2, 0]);
        Observer empty = Spec(kind).Create();
        empty.Merge(a);
        // A batch behind the first keeps its edges; one that stands alone may not.
        if (kind != ObserverKind.Percentile)
        {
            empty.Merge(b);
            empty.Observe(new Tensor([3], new float[] { 0.5f, -1, 2 }));
            Assert.Equal(all.Histogram.ToArray(), empty.Histogram.ToArray());
            Assert.Equal((all.SelectRange().Min[0], all.SelectRange().Max[0]), (empty.SelectRange().Min[0], empty.SelectRange().Max[0]));
            Assert.Equal((3L, 9L), (empty.BatchCount, empty.ElementCount));
        }
        Assert.Equal(ErrorIds.InvalidArgument, Assert.Throws<QuantException>(() => a.Merge(Observe(Spec(kind), [5, -4]))).ErrorId);
    }

    [Theory]
    [InlineData(ObserverKind.Entropy)]
    [InlineData(ObserverKind.Percentile)]
    [InlineData(ObserverKind.Distribution)]
    public void HistogramsLeaveNotANumberOutRefuseInfinitiesAndRunaways(ObserverKind kind)
    {
        Observer o = Observe(Spec(kind), [-1, float.NaN, 1]);
        Assert.Equal((2f, 1L), (o.Histogram.ToArray().Sum(), o.NonFiniteCount));
        Assert.Equal(ErrorIds.NotFinite, Assert.Throws<QuantException>(() => o.Observe(new Tensor([1], new[] { float.PositiveInfinity }))).ErrorId);
        Assert.Equal(ErrorIds.InvalidArgument, Assert.Throws<QuantException>(() => Observe(Spec(kind), [1e-6f, 2e-6f], [1e6f])).ErrorId);
        Assert.Equal(ErrorIds.NotANumber, Assert.Throws<QuantException>(() => Observe(Spec(kind), [float.NaN]).CalculateQParams()).ErrorId);
        Assert.Equal(1f, Spec(kind).Create().CalculateQParams().Scales[0]);
    }

    [Fact]
    public void MinMaxLeavesBatchesWithNotANumberOut()
    {
        ObserverSpec spec = Spec(ObserverKind.OrtMinMax);
        Observer o = Observe(spec, [1, 2], [float.NaN, 9], [-1, 1]);
        Assert.Equal((-1f, 2f, 1L), (o.MinValues[0], o.MaxValues[0], o.NonFiniteCount));
        Observer mean = Observe(spec with { Averaging = true }, [1, 2], [float.NaN, 9], [-1, 1]);
        Assert.Equal((0f, 1.5f), (mean.MinValues[0], mean.MaxValues[0]));
        Assert.Equal(ErrorIds.NotANumber, Assert.Throws<QuantException>(() => Observe(spec, [float.NaN]).CalculateQParams()).ErrorId);
    }

    [Fact]
    public void MinMaxMergesExactlyUnlessItAverages()
    {
        ObserverSpec spec = Spec(ObserverKind.OrtMinMax) with { SymmetricRange = true };
        Observer a = Observe(spec, [-3, 1]), b = Observe(spec, [2, 2.5f]);
        b.Merge(a);
        Assert.Equal((-3f, 3f), (b.MinValues[0], b.MaxValues[0]));
        spec = spec with { Averaging = true };
        Assert.Equal(ErrorIds.InvalidArgument, Assert.Throws<QuantException>(() => Observe(spec, [1]).Merge(Observe(spec, [2]))).ErrorId);
    }

    [Fact]
    public void LongAveragesStayMeans()
    {
        Random rng = new(5);
        float[][] batches = [.. Enumerable.Range(0, 1000).Select(_ => new[] { rng.NextSingle() - 1, rng.NextSingle() })];
        Observer o = Observe(Spec(ObserverKind.OrtMinMax) with { Averaging = true }, batches);
        Assert.Equal(batches.Average(b => (double)b[0]), o.MinValues[0], 1e-5);
        Assert.Equal(batches.Average(b => (double)b[1]), o.MaxValues[0], 1e-5);
    }

    [Fact]
    public void BadArgumentsAreRefused()
    {
        foreach (ObserverSpec bad in new[]
        {
            Spec(ObserverKind.Distribution) with { Bins = 511 }, Spec(ObserverKind.Entropy) with { QuantizedBins = 513 }, Spec(ObserverKind.Entropy) with { QuantizedBins = 1 },
            Spec(ObserverKind.Percentile) with { Percentile = 0 }, Spec(ObserverKind.Percentile) with { Percentile = double.NaN }, Spec(ObserverKind.OrtMinMax) with { CollectSize = -1 },
            Spec(ObserverKind.Percentile) with { Bins = 0 },
        })
        {
            Assert.Equal(ErrorIds.InvalidArgument, Assert.Throws<QuantException>(() => bad.Create()).ErrorId);
        }
    }
}
