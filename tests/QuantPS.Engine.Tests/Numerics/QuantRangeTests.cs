using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Tests.Numerics;

public class QuantRangeTests
{
    [Theory]
    [InlineData(QDType.QUInt8, false, 0, 255)]
    [InlineData(QDType.QUInt8, true, 0, 127)]
    [InlineData(QDType.QInt8, false, -128, 127)]
    [InlineData(QDType.QInt8, true, -64, 63)]
    [InlineData(QDType.QInt32, false, int.MinValue, int.MaxValue)]
    [InlineData(QDType.QInt32, true, int.MinValue, int.MaxValue)]
    public void DefaultRanges(QDType dtype, bool reduce, int min, int max) => Assert.Equal(new QuantRange(min, max), QuantRange.Create(dtype, reduce));

    [Theory]
    [InlineData(QDType.QInt8, -127, 127, -64, 63)]
    [InlineData(QDType.QUInt8, 0, 255, 0, 127)]
    [InlineData(QDType.QUInt8, 0, 15, 0, 7)]
    public void ReducingACustomRangeRoundsDown(QDType dtype, int min, int max, int low, int high) =>
        Assert.Equal(new QuantRange(low, high, true), QuantRange.Create(dtype, true, min, max));

    [Fact]
    public void OneEndAloneDoesNotCount() => Assert.Equal(new QuantRange(0, 255), QuantRange.Create(QDType.QUInt8, false, 1, null));

    [Theory]
    [InlineData(QDType.QUInt8, 1, 255)]
    [InlineData(QDType.QInt8, -128, -1)]
    [InlineData(QDType.QInt8, 0, 0)]
    [InlineData(QDType.QInt8, -129, 127)]
    [InlineData(QDType.QInt8, int.MinValue, int.MaxValue)]
    public void BadRangesAreRefused(QDType dtype, int min, int max) =>
        Assert.Equal(ErrorIds.InvalidQuantizationRange, Assert.Throws<QuantException>(() => QuantRange.Create(dtype, false, min, max)).ErrorId);

    [Theory]
    // PyTorch 2.x lets qint32 have all of its 2^32 values (1.13 stopped at 2^31), and does not look at quint8.
    [InlineData(QDType.QInt32, int.MinValue, int.MaxValue)]
    [InlineData(QDType.QUInt8, -127, 127)]
    public void WideRangesThatTorch2Takes(QDType dtype, int min, int max) => Assert.Equal(new QuantRange(min, max, true), QuantRange.Create(dtype, false, min, max));
}
