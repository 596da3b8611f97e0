using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Tests.Observers;

/// <summary>The histogram observer beyond what the goldens show: merging, infinities, extremes.</summary>
public class HistogramObserverTests
{
    private static readonly ObserverSpec Spec = new() { Kind = ObserverKind.Histogram };

    private static Observer Seen(ObserverSpec spec, params float[][] batches)
    {
        Observer o = spec.Create();
        foreach (float[] b in batches)
            o.Observe(new Tensor([b.Length], b));
        return o;
    }

    private static Observer Merged(params Observer[] parts)
    {
        Observer o = Spec.Create();
        foreach (Observer p in parts)
            o.Merge(p);
        return o;
    }

    private static float[] Random(int seed, int count, float scale)
    {
        Random rng = new(seed);
        return [.. Enumerable.Range(0, count).Select(_ => (float)(Math.Sqrt(-2 * Math.Log(1 - rng.NextDouble())) * Math.Cos(2 * Math.PI * rng.NextDouble())) * scale)];
    }

    private static void AssertSame(Observer a, Observer b)
    {
        ObserverGolden.AssertBits(a.MinValues, b.MinValues);
        ObserverGolden.AssertBits(a.MaxValues, b.MaxValues);
        ObserverGolden.AssertBits(a.Histogram, b.Histogram);
        ObserverGolden.AssertBits(a.CalculateQParams().Scales, b.CalculateQParams().Scales);
        Assert.Equal(a.CalculateQParams().ZeroPoint, b.CalculateQParams().ZeroPoint);
    }

    [Fact]
    public void MergingIsFreeOfOrderAndAssociativeToTheBit()
    {
        Observer A() => Seen(Spec, Random(1, 500, 1), Random(2, 300, 2));
        Observer B() => Seen(Spec, Random(3, 400, 5));
        Observer C() => Seen(Spec, Random(4, 100, 0.1f), [3.5f]);
        Observer D() => Seen(Spec, [7f, 7f]);
        Observer abcd = Merged(A(), B(), C(), D());
        AssertSame(abcd, Merged(D(), C(), B(), A()));
        AssertSame(abcd, Merged(Merged(C(), A()), Merged(D(), B())));
        Observer a = A();
        a.Merge(Merged(B(), Merged(C(), D())));
        AssertSame(abcd, a);
        Assert.Equal(abcd.ElementCount, a.ElementCount);
        Assert.Equal(500 + 300 + 400 + 101 + 2, a.Histogram.ToArray().Sum(), 0.01);
    }

    [Fact]
    public void EqualRangesAddExactly()
    {
        float[] ends = [-4f, 4f];
        float[] x = [.. Random(5, 900, 0.5f), .. ends], y = [.. Random(6, 700, 0.5f), .. ends];
        AssertSame(Seen(Spec, x, y), Merged(Seen(Spec, y), Seen(Spec, x)));
    }

    [Fact]
    public void MergingIntoAFreshObserverCopies() => AssertSame(Seen(Spec, Random(7, 99, 1), Random(8, 99, 3)), Merged(Seen(Spec, Random(7, 99, 1), Random(8, 99, 3))));

    [Fact]
    public void WhatTheOtherSeesLaterIsNotTakenIn()
    {
        Observer other = Seen(Spec, [1f, 2f]);
        Observer o = Merged(other);
        other.Observe(new Tensor([1], new float[] { 100f }));
        Assert.Equal(2f, o.MaxValues[0]);
    }

    [Fact]
    public void ObservingGoesOnAfterAMerge()
    {
        Observer o = Merged(Seen(Spec, [1f, 2f]));
        o.Observe(new Tensor([2], new float[] { -3f, 1f }));
        Assert.Equal((-3f, 2f), (o.MinValues[0], o.MaxValues[0]));
        Assert.Equal(4f, o.Histogram.ToArray().Sum());
    }

    [Fact]
    public void NotANumberInOnePartIsNotANumberInAll()
    {
        Observer o = Merged(Seen(Spec, [1f, 2f]), Seen(Spec, [float.NaN, 2f]), Seen(Spec, [1f, 5f]));
        Assert.Equal(ErrorIds.NotANumber, Assert.Throws<QuantException>(() => o.CalculateQParams()).ErrorId);
    }

    [Fact]
    public void InfinitiesAreLeftOutAndCounted()
    {
        Observer o = Seen(Spec, [1f, float.PositiveInfinity, 2f], [float.NegativeInfinity, float.NegativeInfinity]);
        Assert.Equal((1f, 2f, 3L), (o.MinValues[0], o.MaxValues[0], o.NonFiniteCount));
    }

    [Fact]
    public void TheOldAlgorithmRefusesInfinities()
    {
        QuantException e = Assert.Throws<QuantException>(() => Seen(Spec with { TorchVersion = TorchVersion.V1_13 }, [1f, float.PositiveInfinity]));
        Assert.Equal(ErrorIds.NotFinite, e.ErrorId);
    }

    [Fact]
    public void TheOldAlgorithmNeedsNoMemoryForAJump()
    {
        // PyTorch 1.13 allocates bins * 10^6 floats here.
        Observer o = Seen(Spec with { TorchVersion = TorchVersion.V1_13 }, [0f, 0.5f, 1f], [1e6f]);
        Assert.InRange(o.MaxValues[0], 1e6f, 1.001e6f);
    }

    [Fact]
    public void TheOldAlgorithmSaysWhenAJumpIsTooFar()
    {
        QuantException e = Assert.Throws<QuantException>(() => Seen(Spec with { TorchVersion = TorchVersion.V1_13 }, [0f, 1e-20f], [1e6f]));
        Assert.Equal(ErrorIds.InvalidArgument, e.ErrorId);
    }

    [Theory]
    [InlineData(1e10f, 1e10f)]
    [InlineData(-3e38f, 3e38f)]
    [InlineData(-1e36f, 1e36f)]
    [InlineData(-1e-45f, 1e-45f)]
    public void ExtremesLoseNoElement(float a, float b)
    {
        Observer o = Seen(Spec, [a, b, a], [b]);
        Assert.Equal(4f, o.Histogram.ToArray().Sum());
        Assert.Equal((a, b), (o.MinValues[0], o.MaxValues[0]));
    }

    [Fact]
    public void LongAndShortBatchesCountAlike()
    {
        // 20000 elements use several tables of counts, batches of 100 use one; both ends are fixed so that the range does not move.
        float[] x = Random(9, 20000, 1);
        (x[0], x[1]) = (-8, 8);
        Observer whole = Seen(Spec, x);
        Observer pieces = Seen(Spec, [.. x.Chunk(100)]);
        ObserverGolden.AssertBits(whole.Histogram, pieces.Histogram);
    }

    [Fact]
    public void Qint32AndNoBinsAreRefused()
    {
        Assert.Equal(ErrorIds.UnsupportedDType, Assert.Throws<QuantException>(() => (Spec with { DType = QDType.QInt32 }).Create()).ErrorId);
        Assert.Equal(ErrorIds.InvalidArgument, Assert.Throws<QuantException>(() => (Spec with { Bins = 0 }).Create()).ErrorId);
    }
}
