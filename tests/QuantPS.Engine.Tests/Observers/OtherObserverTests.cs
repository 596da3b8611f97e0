using System.Text.Json;
using CsCheck;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;
using QuantPS.Engine.Tensors;
using QuantPS.Engine.Tests.Golden;

namespace QuantPS.Engine.Tests.Observers;

/// <summary>Observers without a range, against torch 1.13; 4-bit observers, against torch 1.13; the squared-error observer, against brute
/// force.</summary>
public class OtherObserverTests
{
    private const string File = "other_observers_torch113.json";

    public static TheoryData<string> FixedIds => Ids("fixed-");

    public static TheoryData<string> RangelessIds => Ids("none-");

    public static TheoryData<string> FourBitIds => Ids("q4-");

    private static TheoryData<string> Ids(string family) => GoldenFile.Ids(File, c => c.GetProperty("id").GetString()!.StartsWith(family, StringComparison.Ordinal));

    [Theory, MemberData(nameof(FixedIds))]
    public void FixedParametersAreReturnedAsGiven(string id)
    {
        JsonElement golden = GoldenFile.Load(File)[id], args = golden.GetProperty("args");
        ObserverSpec spec = new()
        {
            Kind = ObserverKind.FixedQParams,
            DType = Enum.GetValues<QDType>().Single(d => d.TorchName() == args.GetProperty("dtype").GetString()),
            Scale = (float)args.GetProperty("scale").GetDouble(),
            ZeroPoint = args.GetProperty("zero_point").GetInt32(),
        };
        Observer o = spec.Create();
        o.Observe(new Tensor([2], new float[] { -100, 100 }));
        Assert.True(o.HasObserved);
        ObserverGolden.AssertBits(golden.GetProperty("scale").Singles(), o.CalculateQParams().Scales);
        Assert.Equal(golden.GetProperty("zp").Ints(), o.CalculateQParams().ZeroPoints.ToArray());
        Assert.Equal(ErrorIds.ObserverHasNoRange, Assert.Throws<QuantException>(() => o.SelectRange()).ErrorId);
    }

    [Theory, MemberData(nameof(RangelessIds))]
    public void WhatHasNoRangeSaysSo(string id)
    {
        JsonElement golden = GoldenFile.Load(File)[id];
        ObserverKind kind = Enum.Parse<ObserverKind>(id["none-".Length..]);
        Observer o = new ObserverSpec { Kind = kind }.Create();
        Assert.EndsWith($"for {kind}Observer", golden.GetProperty("error").GetString());
        Assert.False(o.HasRange);
        foreach (Action ask in new Action[] { () => o.CalculateQParams(), () => o.SelectRange() })
        {
            QuantException e = Assert.Throws<QuantException>(ask);
            Assert.Equal(ErrorIds.ObserverHasNoRange, e.ErrorId);
            Assert.StartsWith($"{kind}Observer has no ", e.Message);
        }
    }

    [Fact]
    public void RecordingKeepsCopies()
    {
        JsonElement golden = GoldenFile.Load(File)["none-Recording"];
        RecordingObserver o = (RecordingObserver)new ObserverSpec { Kind = ObserverKind.Recording }.Create();
        foreach (JsonElement batch in golden.GetProperty("batches").EnumerateArray())
        {
            Tensor x = batch.Tensor();
            o.Observe(x);
            x.Span.Clear();
        }
        Tensor[] expected = [.. golden.GetProperty("tensors").EnumerateArray().Select(t => t.Tensor())];
        Assert.Equal(expected.Length, o.Tensors.Count);
        for (int i = 0; i < expected.Length; i++)
        {
            Assert.Equal(expected[i].Shape, o.Tensors[i].Shape);
            ObserverGolden.AssertBits(expected[i].Span, o.Tensors[i].Span);
        }
        RecordingObserver other = (RecordingObserver)o.Spec.Create();
        other.Observe(new Tensor([1], new float[] { 7 }));
        other.Merge(o);
        Assert.Equal(7f, other.Tensors[0].Span[0]);
        Assert.Equal(expected.Length + 1, other.Tensors.Count);
    }

    [Fact]
    public void FixedParametersHaveToBeThereAndFit()
    {
        ObserverSpec spec = new() { Kind = ObserverKind.FixedQParams, Scale = 0.5f, ZeroPoint = 3 };
        Assert.Equal(ErrorIds.InvalidArgument, Assert.Throws<QuantException>(() => (spec with { Scale = null }).Create()).ErrorId);
        Assert.Equal(ErrorIds.InvalidArgument, Assert.Throws<QuantException>(() => (spec with { ZeroPoint = null }).Create()).ErrorId);
        Assert.Equal(ErrorIds.InvalidScale, Assert.Throws<QuantException>(() => (spec with { Scale = 0 }).Create()).ErrorId);
        Assert.Equal(ErrorIds.ZeroPointOutOfRange, Assert.Throws<QuantException>(() => (spec with { ZeroPoint = 256 }).Create()).ErrorId);
        Assert.NotEqual(spec, spec with { Scale = 0.25f });
        Assert.Equal(ErrorIds.InvalidArgument, Assert.Throws<QuantException>(() => spec.Create().Merge((spec with { Scale = 0.25f }).Create())).ErrorId);
    }

    [Theory, MemberData(nameof(FourBitIds))]
    public void FourBitParametersAndBytesAreTorchs(string id)
    {
        JsonElement golden = GoldenFile.Load(File)[id];
        ObserverKind kind = Enum.Parse<ObserverKind>(golden.GetProperty("kind").GetString()!);
        Observer o = ObserverGolden.Observe(ObserverGolden.Spec(golden.GetProperty("args"), kind, TorchVersion.V1_13), golden);
        ObserverGolden.AssertQParams(golden, o);
        if (golden.IsMissing("packed"))
            return;
        Tensor x = golden.GetProperty("batches")[0].Tensor();
        QuantizedTensor q = Quantizer.Quantize(x, o.CalculateQParams());
        Assert.Equal(golden.GetProperty("packed").Elements<byte>(), q.Bytes.ToArray());
        ObserverGolden.AssertBits(golden.GetProperty("dq").Elements<float>(), q.Dequantize().Span);
    }

    private static double SquaredError(Observer o, ReadOnlySpan<float> data, float min, float max)
    {
        QParams p = QParamsCalculator.Calculate([min], [max], o.Spec.DType, o.Spec.Scheme, o.Range, o.Spec.Eps);
        double sum = 0;
        foreach (float v in data)
        {
            double e = v - Quantizer.Dequantize(Quantizer.QuantizeTorch(v, 1f / p.Scales[0], p.ZeroPoints[0], o.Range.Min, o.Range.Max), p.Scales[0], p.ZeroPoints[0]);
            sum += e * e;
        }
        return sum;
    }

    [Theory]
    [InlineData(QDType.QUInt8, QScheme.PerTensorAffine)]
    [InlineData(QDType.QInt8, QScheme.PerTensorSymmetric)]
    [InlineData(QDType.QUInt4, QScheme.PerTensorAffine)]
    [InlineData(QDType.QInt4, QScheme.PerTensorSymmetric)]
    public void TheSquaredErrorIsAlmostTheSmallestAndNeverWorseThanTheWholeRange(QDType dtype, QScheme scheme)
    {
        foreach (int seed in Enumerable.Range(0, 6))
        {
            Random rng = new(seed);
            // Heavy tails, so that clipping pays; some of one sign.
            float[] data = [.. Enumerable.Range(0, 4000).Select(_ => (float)Math.Pow(rng.NextDouble() * 2 - (seed % 3 == 0 ? 0 : 1), 9) * 10)];
            Observer o = new ObserverSpec { Kind = ObserverKind.Mse, DType = dtype, Scheme = scheme }.Create();
            o.Observe(new Tensor([data.Length], data));
            (float[] min, float[] max) = o.SelectRange();
            double chosen = SquaredError(o, data, min[0], max[0]), whole = SquaredError(o, data, o.MinValues[0], o.MaxValues[0]), best = whole;
            for (int i = 1; i <= 40; i++)
            {
                for (int j = 1; j <= 40; j++)
                    best = Math.Min(best, SquaredError(o, data, o.MinValues[0] * i / 40, o.MaxValues[0] * j / 40));
            }
            Assert.True(chosen <= whole * 1.001, $"seed {seed}: {chosen} against {whole} unclipped");
            Assert.True(chosen <= best * 1.02, $"seed {seed}: {chosen} against {best} by brute force over {40 * 40} ranges");
        }
    }

    [Fact]
    public void FourBitsClipWhatEightBitsKeep()
    {
        float[] data = [.. Enumerable.Range(0, 2000).Select(i => i % 100 / 100f), 3f];
        Observer eight = new ObserverSpec { Kind = ObserverKind.Mse }.Create(), four = new ObserverSpec { Kind = ObserverKind.Mse, DType = QDType.QUInt4 }.Create();
        eight.Observe(new Tensor([data.Length], data));
        four.Observe(new Tensor([data.Length], data));
        Assert.True(eight.SelectRange().Max[0] > 2.5f);
        Assert.True(four.SelectRange().Max[0] < 2f);
        Assert.Equal(0f, four.SelectRange().Min[0]);
    }

    [Fact]
    public void SquaredErrorMergesInAnyOrder() =>
        Gen.Select(Gen.Float[-100, 100].Array[1, 30].Array[1, 6], Gen.Int).Holds((batches, seed) =>
        {
            ObserverSpec spec = new() { Kind = ObserverKind.Mse, Bins = 32 };
            Observer a = spec.Create(), b = spec.Create();
            foreach (float[] x in batches)
                a.Merge(One(x));
            float[][] shuffled = [.. batches];
            new Random(seed).Shuffle(shuffled);
            foreach (float[] x in shuffled)
                b.Merge(One(x));
            return a.SelectRange().Min[0] == b.SelectRange().Min[0] && a.SelectRange().Max[0] == b.SelectRange().Max[0];

            Observer One(float[] x)
            {
                Observer o = spec.Create();
                o.Observe(new Tensor([x.Length], x));
                return o;
            }
        });
}
