using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Tests.Observers;

/// <summary>What the observers refuse, count, and do at the edges.</summary>
public class ObserverTests
{
    private static readonly ObserverKind[] PerTensor = [ObserverKind.MinMax, ObserverKind.MovingAverageMinMax, ObserverKind.Histogram, ObserverKind.Mse];

    private static readonly ObserverKind[] PerChannel = [ObserverKind.PerChannelMinMax, ObserverKind.MovingAveragePerChannelMinMax];

    /// <summary>PyTorch's observers that calculate parameters from what they see.</summary>
    public static TheoryData<ObserverKind> Kinds => [.. PerTensor, .. PerChannel];

    public static TheoryData<ObserverKind> AllKinds => [.. Enum.GetValues<ObserverKind>()];

    private static ObserverSpec Spec(ObserverKind kind) => new()
    {
        Kind = kind,
        Scheme = PerChannel.Contains(kind) ? QScheme.PerChannelAffine : QScheme.PerTensorAffine,
        Scale = kind == ObserverKind.FixedQParams ? 0.5f : null,
        ZeroPoint = kind == ObserverKind.FixedQParams ? 3 : null,
    };

    private static Tensor Of(params float[] values) => new([1, values.Length], values);

    private static void AssertRefused(string errorId, Action action) => Assert.Equal(errorId, Assert.Throws<QuantException>(action).ErrorId);

    [Theory, MemberData(nameof(AllKinds))]
    public void EveryKindIsInTheRegistry(ObserverKind kind)
    {
        Assert.Contains(kind, ObserverRegistry.Kinds);
        Assert.Equal($"{kind}Observer", Spec(kind).Create().GetType().Name);
    }

    [Theory, MemberData(nameof(Kinds))]
    public void NeverObservedGivesOneAndZero(ObserverKind kind)
    {
        Observer o = Spec(kind).Create();
        o.Observe(new Tensor(0, 3));
        Assert.False(o.HasObserved);
        Assert.True(o.MinValues.IsEmpty && o.MaxValues.IsEmpty && o.Histogram.IsEmpty);
        QParams p = o.CalculateQParams();
        Assert.Equal((1f, 0), (p.Scales[0], p.ZeroPoints[0]));
    }

    [Theory, MemberData(nameof(Kinds))]
    public void NotANumberSurfacesWhenTheParametersAreAskedFor(ObserverKind kind)
    {
        Observer o = Spec(kind).Create();
        o.Observe(Of(1, 2));
        o.Observe(Of(float.NaN, float.PositiveInfinity));
        o.Observe(Of(3, 4));
        Assert.Equal(2, o.NonFiniteCount);
        AssertRefused(ErrorIds.NotANumber, () => o.CalculateQParams());
    }

    [Theory, MemberData(nameof(Kinds))]
    public void TheOtherFamilysSchemesAreRefused(ObserverKind kind)
    {
        foreach (QScheme scheme in Enum.GetValues<QScheme>().Where(s => s.IsPerChannel() == PerTensor.Contains(kind)))
            AssertRefused(ErrorIds.UnsupportedScheme, () => new ObserverSpec { Kind = kind, Scheme = scheme }.Create());
    }

    [Theory, MemberData(nameof(Kinds))]
    public void ReducedSymmetricQuint8IsRefusedExceptByTheHistogram(ObserverKind kind)
    {
        ObserverSpec spec = Spec(kind) with { ReduceRange = true, Scheme = PerTensor.Contains(kind) ? QScheme.PerTensorSymmetric : QScheme.PerChannelSymmetric };
        (spec with { DType = QDType.QInt8 }).Create();
        if (kind is ObserverKind.Histogram or ObserverKind.Mse)
            spec.Create();
        else
            AssertRefused(ErrorIds.UnsupportedScheme, () => spec.Create());
    }

    [Theory, MemberData(nameof(Kinds))]
    public void BadRangesAreRefusedAtOnce(ObserverKind kind) =>
        AssertRefused(ErrorIds.InvalidQuantizationRange, () => (Spec(kind) with { QuantMin = 1, QuantMax = 5 }).Create());

    [Theory, MemberData(nameof(AllKinds))]
    public void CountsBatchesAndElements(ObserverKind kind)
    {
        // Not a number where ONNX Runtime's histograms refuse infinities.
        float odd = kind is ObserverKind.Entropy or ObserverKind.Percentile or ObserverKind.Distribution ? float.NaN : float.PositiveInfinity;
        Observer o = Spec(kind).Create();
        o.Observe(Of(1, 2, 3));
        o.Observe(new Tensor(4, 0));
        o.Observe(new Tensor([1, 3], new float[] { 4, odd, 5 }));
        Assert.Equal((2L, 6L, 1L), (o.BatchCount, o.ElementCount, o.NonFiniteCount));
    }

    [Theory]
    [InlineData(ObserverKind.MovingAverageMinMax)]
    [InlineData(ObserverKind.MovingAveragePerChannelMinMax)]
    public void MovingAveragesDoNotMerge(ObserverKind kind)
    {
        Observer a = Spec(kind).Create(), b = Spec(kind).Create();
        b.Observe(Of(1, 2));
        AssertRefused(ErrorIds.InvalidArgument, () => a.Merge(b));
        Assert.Equal(0, a.BatchCount);
    }

    [Fact]
    public void TheOldHistogramDoesNotMerge()
    {
        ObserverSpec spec = Spec(ObserverKind.Histogram) with { TorchVersion = TorchVersion.V1_13 };
        Observer a = spec.Create(), b = spec.Create();
        b.Observe(Of(1, 2));
        AssertRefused(ErrorIds.InvalidArgument, () => a.Merge(b));
    }

    [Fact]
    public void OtherArgumentsDoNotMerge()
    {
        Observer a = Spec(ObserverKind.MinMax).Create();
        AssertRefused(ErrorIds.InvalidArgument, () => a.Merge(Spec(ObserverKind.Histogram).Create()));
        AssertRefused(ErrorIds.InvalidArgument, () => a.Merge((Spec(ObserverKind.MinMax) with { ReduceRange = true }).Create()));
    }

    [Fact]
    public void MergeTakesTheCountsToo()
    {
        Observer a = Spec(ObserverKind.MinMax).Create(), b = Spec(ObserverKind.MinMax).Create();
        a.Observe(Of(1, 2));
        b.Observe(Of(-3, float.PositiveInfinity));
        a.Merge(b);
        Assert.Equal((2L, 4L, 1L), (a.BatchCount, a.ElementCount, a.NonFiniteCount));
        Assert.Equal((-3f, float.PositiveInfinity), (a.MinValues[0], a.MaxValues[0]));
    }

    [Fact]
    public void PerChannelNeedsTwoDimensionsAndAConstantNumberOfChannels()
    {
        Observer o = Spec(ObserverKind.PerChannelMinMax).Create();
        AssertRefused(ErrorIds.InvalidShape, () => o.Observe(new Tensor(4)));
        o.Observe(new Tensor(3, 2));
        AssertRefused(ErrorIds.ShapeMismatch, () => o.Observe(new Tensor(2, 3)));
        Assert.Equal((1L, 3), (o.BatchCount, o.MinValues.Length));
    }

    [Fact]
    public void NegativeAxesCountFromTheBack()
    {
        Tensor x = new([2, 2, 3], Enumerable.Range(0, 12).Select(i => (float)i).ToArray());
        Observer last = (Spec(ObserverKind.PerChannelMinMax) with { ChannelAxis = -1 }).Create();
        last.Observe(x);
        Assert.Equal([0f, 1f, 2f], last.MinValues.ToArray());
        Assert.Equal([9f, 10f, 11f], last.MaxValues.ToArray());
        Observer middle = (Spec(ObserverKind.PerChannelMinMax) with { ChannelAxis = 1 }).Create();
        middle.Observe(x);
        Assert.Equal([0f, 3f], middle.MinValues.ToArray());
        Assert.Equal([8f, 11f], middle.MaxValues.ToArray());
    }

    [Fact]
    public void MovingAverageThatMetAnInfinityHasNoParameters()
    {
        Observer o = Spec(ObserverKind.MovingAverageMinMax).Create();
        o.Observe(Of(0, float.PositiveInfinity));
        Assert.Equal(float.PositiveInfinity, o.CalculateQParams().Scales[0]);
        // inf + c * (1 - inf) is NaN.
        o.Observe(Of(0, 1));
        Assert.True(float.IsNaN(o.MaxValues[0]));
        AssertRefused(ErrorIds.NotANumber, () => o.CalculateQParams());
    }

    [Fact]
    public void TheFoundingInput()
    {
        Observer o = Spec(ObserverKind.MinMax).Create();
        float[] ones = new float[490];
        Array.Fill(ones, 1f);
        o.Observe(new Tensor([2, 5, 7, 7], ones));
        QParams p = o.CalculateQParams();
        Assert.Equal((0.003921568859368563, 0), (p.Scale, p.ZeroPoint));
        Observer w = (Spec(ObserverKind.PerChannelMinMax) with { DType = QDType.QInt8 }).Create();
        w.Observe(new Tensor(2, 5, 3, 3));
        QParams q = w.CalculateQParams();
        Assert.Equal(new[] { 1.1920928955078125e-07, 1.1920928955078125e-07 }, q.Scale);
        Assert.Equal(new[] { -128, -128 }, q.ZeroPoint);
    }
}
