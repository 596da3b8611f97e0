using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;

namespace QuantPS.Engine.Tests.Numerics;

/// <summary>The worked corner cases of calculate_qparams; every value was seen from PyTorch.</summary>
public class QParamsCalculatorTests
{
    private const float Eps = ObserverSpec.DefaultEps;
    private const float Inf = float.PositiveInfinity;

    private static (float Scale, int ZeroPoint) Affine(float min, float max, QDType dtype)
    {
        QParams p = QParamsCalculator.Calculate([min], [max], dtype, QScheme.PerTensorAffine, QuantRange.Create(dtype), Eps);
        return (p.Scales[0], p.ZeroPoints[0]);
    }

    private static (float Scale, int ZeroPoint) Symmetric(float min, float max, QDType dtype, QuantRange range)
    {
        QParams p = QParamsCalculator.Calculate([min], [max], dtype, QScheme.PerTensorSymmetric, range, Eps);
        return (p.Scales[0], p.ZeroPoints[0]);
    }

    [Fact]
    public void AllZerosQuint8() => Assert.Equal((Eps, 0), Affine(0, 0, QDType.QUInt8));

    [Fact]
    public void AllZerosQint8() => Assert.Equal((Eps, -128), Affine(0, 0, QDType.QInt8));

    [Fact]
    public void ConstantMinusFive() => Assert.Equal((5f / 255f, 255), Affine(-5, -5, QDType.QUInt8));

    [Fact]
    public void ConstantPlusFive() => Assert.Equal((5f / 255f, 0), Affine(5, 5, QDType.QUInt8));

    [Fact]
    public void Qint32ScaleFallsToEps() => Assert.Equal((Eps, -2139095040), Affine(-1, 2, QDType.QInt32));

    [Theory]
    [InlineData(0f, float.PositiveInfinity, QDType.QUInt8, 0)]
    [InlineData(float.NegativeInfinity, 0f, QDType.QUInt8, 0)]
    [InlineData(float.NegativeInfinity, float.PositiveInfinity, QDType.QUInt8, 0)]
    [InlineData(-1f, float.PositiveInfinity, QDType.QInt8, -128)]
    // neg/scale is NaN, NaN becomes INT32_MIN, -128 - INT32_MIN is a big number.
    [InlineData(float.NegativeInfinity, 1f, QDType.QInt8, 127)]
    // INT32_MIN - INT32_MIN.
    [InlineData(float.NegativeInfinity, 1f, QDType.QInt32, 0)]
    public void InfiniteRangesWrapAsOnX86(float min, float max, QDType dtype, int zeroPoint) => Assert.Equal((Inf, zeroPoint), Affine(min, max, dtype));

    [Fact]
    public void NeverObserved()
    {
        Assert.Equal((1f, 0), Affine(Inf, -Inf, QDType.QInt8));
        QParams p = QParamsCalculator.Calculate([], [], QDType.QInt8, QScheme.PerChannelSymmetric, QuantRange.Create(QDType.QInt8), Eps, 0);
        Assert.Equal([1f], p.Scales.ToArray());
        Assert.Equal([0], p.ZeroPoints.ToArray());
    }

    [Fact]
    public void SymmetricDivisors()
    {
        Assert.Equal((1f / 127.5f, 0), Symmetric(-1, 0.5f, QDType.QInt8, QuantRange.Create(QDType.QInt8)));
        Assert.Equal((1f / 63.5f, 0), Symmetric(-1, 0.5f, QDType.QInt8, QuantRange.Create(QDType.QInt8, reduceRange: true)));
        Assert.Equal((1f / 127f, 0), Symmetric(-1, 0.5f, QDType.QInt8, QuantRange.Create(QDType.QInt8, false, -127, 127)));
    }

    [Fact]
    public void SymmetricQuint8ZeroPointDependsOnWhetherTheRangeWasNamed()
    {
        Assert.Equal(128, Symmetric(-1, 1, QDType.QUInt8, QuantRange.Create(QDType.QUInt8)).ZeroPoint);
        Assert.Equal(127, Symmetric(-1, 1, QDType.QUInt8, QuantRange.Create(QDType.QUInt8, false, 0, 255)).ZeroPoint);
        Assert.Equal(63, Symmetric(-1, 1, QDType.QUInt8, QuantRange.Create(QDType.QUInt8, false, 0, 127)).ZeroPoint);
    }

    [Fact]
    public void EpsIsTheSmallestScale()
    {
        QParams p = QParamsCalculator.Calculate([-1e-9f], [1e-9f], QDType.QInt8, QScheme.PerTensorSymmetric, QuantRange.Create(QDType.QInt8), 1f / 4096);
        Assert.Equal(1f / 4096, p.Scales[0]);
    }

    [Fact]
    public void NotANumberNamesItsChannel()
    {
        QuantException e = Assert.Throws<QuantException>(() =>
            QParamsCalculator.Calculate([0, float.NaN], [1, float.NaN], QDType.QInt8, QScheme.PerChannelAffine, QuantRange.Create(QDType.QInt8), Eps, 0));
        Assert.Equal(ErrorIds.NotANumber, e.ErrorId);
        Assert.Contains("channel 1", e.Message);
    }

    [Fact]
    public void MinimumAboveMaximumIsRefused() =>
        Assert.Equal(ErrorIds.InvalidArgument, Assert.Throws<QuantException>(() => Affine(2, 1, QDType.QUInt8)).ErrorId);

    [Fact]
    public void FloatZeroPointsAreNotExtendedToZero()
    {
        QParams p = QParamsCalculator.Calculate([1f, 2f], [3f, 2f], QDType.QUInt8, QScheme.PerChannelAffineFloatQParams, QuantRange.Create(QDType.QUInt8), Eps, 0);
        Assert.Equal([2f / 255f, 1f], p.Scales.ToArray());
        Assert.Equal([-1f / (2f / 255f), -2f], p.FloatZeroPoints.ToArray());
    }
}
