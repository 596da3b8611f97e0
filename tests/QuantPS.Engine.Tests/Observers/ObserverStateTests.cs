using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Tests.Observers;

/// <summary>Observers to JSON and back: nothing is lost, observing goes on as if nothing had happened, damage is found.</summary>
public class ObserverStateTests
{
    public static TheoryData<string> Specs => [.. All.Keys];

    private static readonly Dictionary<string, ObserverSpec> All = new()
    {
        ["MinMax"] = new() { QuantMin = 0, QuantMax = 127, Eps = 1f / 4096 },
        ["MovingAverage"] = new() { Kind = ObserverKind.MovingAverageMinMax, AveragingConstant = 0.1 },
        ["PerChannel"] = new() { Kind = ObserverKind.PerChannelMinMax, DType = QDType.QInt8, Scheme = QScheme.PerChannelSymmetric, ChannelAxis = 1 },
        ["MovingAveragePerChannel"] = new() { Kind = ObserverKind.MovingAveragePerChannelMinMax, Scheme = QScheme.PerChannelAffine },
        ["Histogram"] = new() { Kind = ObserverKind.Histogram, Bins = 64, ReduceRange = true },
        ["Histogram113"] = new() { Kind = ObserverKind.Histogram, Bins = 64, TorchVersion = TorchVersion.V1_13 },
        ["Mse"] = new() { Kind = ObserverKind.Mse, Bins = 64, DType = QDType.QInt4 },
        ["Fixed"] = new() { Kind = ObserverKind.FixedQParams, Scale = 1f / 3, ZeroPoint = 7 },
        ["Placeholder"] = new() { Kind = ObserverKind.Placeholder },
        ["Noop"] = new() { Kind = ObserverKind.Noop },
        ["ReuseInput"] = new() { Kind = ObserverKind.ReuseInput },
        ["Recording"] = new() { Kind = ObserverKind.Recording },
        ["OrtMinMax"] = new() { Kind = ObserverKind.OrtMinMax, SymmetricRange = true },
        ["OrtMinMaxAveraging"] = new() { Kind = ObserverKind.OrtMinMax, Averaging = true, CollectSize = 3 },
        ["OrtMinMaxPerChannel"] = new() { Kind = ObserverKind.OrtMinMax, Averaging = true, Scheme = QScheme.PerChannelAffine, ChannelAxis = 1 },
        ["Entropy"] = new() { Kind = ObserverKind.Entropy, Bins = 64, QuantizedBins = 16 },
        ["Percentile"] = new() { Kind = ObserverKind.Percentile, Bins = 64, Percentile = 99 },
        ["PercentileSigned"] = new() { Kind = ObserverKind.Percentile, Bins = 64, SymmetricRange = false },
        ["Distribution"] = new() { Kind = ObserverKind.Distribution, Bins = 512 },
    };

    private static Tensor Batch(int seed)
    {
        Random rng = new(seed);
        Tensor x = new(2, 3, 5);
        for (int i = 0; i < x.Length; i++)
            x.Span[i] = (rng.NextSingle() - 0.3f) * (1 + seed);
        return x;
    }

    private static void AssertSame(Observer a, Observer b)
    {
        Assert.Equal(ObserverJson.Write(a), ObserverJson.Write(b));
        Assert.Equal(a.Spec, b.Spec);
        Assert.Equal((a.BatchCount, a.ElementCount, a.NonFiniteCount), (b.BatchCount, b.ElementCount, b.NonFiniteCount));
        ObserverGolden.AssertBits(a.MinValues, b.MinValues);
        ObserverGolden.AssertBits(a.MaxValues, b.MaxValues);
        ObserverGolden.AssertBits(a.Histogram, b.Histogram);
        ObserverGolden.AssertBits(a.BinEdges, b.BinEdges);
        if (!a.HasRange)
            return;
        QParams p = a.CalculateQParams(), q = b.CalculateQParams();
        ObserverGolden.AssertBits(p.Scales, q.Scales);
        Assert.Equal(p.ZeroPoints.ToArray(), q.ZeroPoints.ToArray());
    }

    [Fact]
    public void EveryKindIsTried() => Assert.Equal(Enum.GetValues<ObserverKind>(), All.Values.Select(s => s.Kind).Distinct().Order());

    [Theory, MemberData(nameof(Specs))]
    public void NothingIsLostAndObservingGoesOn(string name)
    {
        Observer whole = All[name].Create(), copy = ObserverJson.Read(ObserverJson.Write(whole));
        AssertSame(whole, copy);
        for (int seed = 0; seed < 5; seed++)
        {
            // The first batch twice: on ranges that stay as they are, and then on growing ones.
            whole.Observe(Batch(Math.Max(0, seed - 1)));
            copy.Observe(Batch(Math.Max(0, seed - 1)));
            copy = ObserverJson.Read(ObserverJson.Write(copy));
            AssertSame(whole, copy);
        }
    }

    [Theory]
    [InlineData("MinMax")]
    [InlineData("PerChannel")]
    [InlineData("Histogram")]
    [InlineData("Mse")]
    [InlineData("OrtMinMax")]
    [InlineData("Fixed")]
    public void MergedPartsAreKept(string name)
    {
        Observer merged = All[name].Create();
        merged.Observe(Batch(9));
        for (int seed = 0; seed < 4; seed++)
        {
            Observer part = All[name].Create();
            part.Observe(Batch(seed));
            merged.Merge(part);
        }
        Observer copy = ObserverJson.Read(ObserverJson.Write(merged));
        AssertSame(merged, copy);
        merged.Observe(Batch(20));
        copy.Observe(Batch(20));
        AssertSame(merged, copy);
        Observer late = All[name].Create();
        late.Observe(Batch(30));
        merged.Merge(late);
        copy.Merge(late);
        AssertSame(merged, copy);
    }

    [Fact]
    public void FilesOfMergedHistogramsDoNotDependOnTheOrder()
    {
        Observer a = All["Histogram"].Create(), b = All["Histogram"].Create();
        int[] seeds = [3, 1, 4, 5, 9];
        foreach (int s in seeds)
            a.Merge(Part(s));
        foreach (int s in seeds.Reverse())
            b.Merge(Part(s));
        Assert.Equal(ObserverJson.Write(a), ObserverJson.Write(b));

        static Observer Part(int seed)
        {
            Observer o = All["Histogram"].Create();
            o.Observe(Batch(seed));
            return o;
        }
    }

    [Fact]
    public void OddNumbersKeepTheirBits()
    {
        foreach (float v in new[] { -0f, float.Epsilon, float.MaxValue, 1f / 3, 16777217f, float.PositiveInfinity, float.NegativeInfinity, float.NaN, 0.1f })
        {
            Observer o = All["Recording"].Create();
            o.Observe(new Tensor([1], new[] { v }));
            float back = ((RecordingObserver)ObserverJson.Read(ObserverJson.Write(o))).Tensors[0].Span[0];
            Assert.Equal(BitConverter.SingleToInt32Bits(v), BitConverter.SingleToInt32Bits(back));
        }
        Observer range = All["MinMax"].Create();
        range.Observe(new Tensor([2], new[] { float.NegativeInfinity, 3 }));
        range.Observe(new Tensor([1], new[] { float.NaN }));
        Observer copy = ObserverJson.Read(ObserverJson.Write(range));
        Assert.True(float.IsNaN(copy.MinValues[0]));
        Assert.Equal(2, copy.NonFiniteCount);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("null")]
    [InlineData("[1]")]
    [InlineData("{}")]
    [InlineData("{\"version\":1,\"spec\":{},\"parts\":[]}")]
    public void OtherTextIsRefused(string json) => Assert.Equal(ErrorIds.FileFormat, Assert.Throws<QuantException>(() => ObserverJson.Read(json)).ErrorId);

    [Theory]
    [InlineData("MinMax", "\"version\":1", "\"version\":2")]
    [InlineData("MinMax", "\"kind\":\"MinMax\"", "\"kind\":\"NoSuch\"")]
    [InlineData("MinMax", "\"kind\":\"MinMax\",", "")]
    [InlineData("MinMax", "\"version\":1", "\"version\":1,\"other\":1")]
    [InlineData("MinMax", "\"batchCount\":1", "\"batchCount\":31")]
    [InlineData("MinMax", "\"batchCount\":1", "\"batchCount\":-1")]
    [InlineData("MinMax", "\"nonFiniteCount\":0", "\"nonFiniteCount\":99")]
    [InlineData("MinMax", "\"min\":[", "\"min\":[1,")]
    [InlineData("MinMax", "\"parts\":[", "\"parts\":[null,")]
    [InlineData("MinMax", "\"parts\":[", "\"parts\":[{},")]
    [InlineData("MinMax", "\"max\":", "\"data\":")]
    [InlineData("PerChannel", "\"min\":[", "\"min\":[1,")]
    [InlineData("Histogram", "\"counts\":[", "\"counts\":[1,")]
    [InlineData("Histogram", "\"parts\":[{", "\"parts\":[],\"other\":[{")]
    [InlineData("Percentile", "\"tally\":[", "\"tally\":[1,")]
    [InlineData("Percentile", "\"tally\":[", "\"tally\":[-1,")]
    [InlineData("Percentile", "\"edges\":[", "\"edges\":[0,")]
    [InlineData("Recording", "\"shape\":[2", "\"shape\":[3")]
    [InlineData("OrtMinMaxAveraging", "\"data\":[", "\"data\":[1,")]
    [InlineData("OrtMinMaxAveraging", "\"tally\":[", "\"tally\":[1,")]
    public void DamageIsFound(string name, string whole, string damaged)
    {
        Observer o = All[name].Create();
        o.Observe(Batch(1));
        string json = ObserverJson.Write(o), bad = json.Replace(whole, damaged, StringComparison.Ordinal);
        Assert.NotEqual(json, bad);
        Assert.Equal(ErrorIds.FileFormat, Assert.Throws<QuantException>(() => ObserverJson.Read(bad)).ErrorId);
    }
}
