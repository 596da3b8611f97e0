using QuantPS.Engine.Observers;

namespace QuantPS.Engine.Tests.Observers;

public class MinMaxScanTests
{
    [Fact]
    public void EveryLengthAndPosition()
    {
        // Lengths around the vector's width; the extremes, and NaN, at every position.
        for (int length = 1; length <= 50; length++)
        {
            for (int at = 0; at < length; at++)
            {
                float[] x = [.. Enumerable.Range(0, length).Select(i => 1f + i * 0.001f)];
                x[at] = -7;
                Assert.Equal(-7, MinMaxScan.Scan(x).Min);
                x[at] = 9;
                Assert.Equal(9, MinMaxScan.Scan(x).Max);
                x[at] = float.NegativeInfinity;
                Assert.Equal(float.NegativeInfinity, MinMaxScan.Scan(x).Min);
                x[at] = float.NaN;
                Assert.Equal((float.NaN, float.NaN), MinMaxScan.Scan(x));
            }
        }
    }

    [Fact]
    public void ZeroIsPositive()
    {
        foreach (int length in new[] { 1, 16, 40 })
        {
            float[] x = new float[length];
            Array.Fill(x, -0f);
            (float min, float max) = MinMaxScan.Scan(x);
            Assert.Equal((0u, 0u), (BitConverter.SingleToUInt32Bits(min), BitConverter.SingleToUInt32Bits(max)));
        }
    }

    [Fact]
    public void NothingGivesAnEmptyRange() => Assert.Equal((float.PositiveInfinity, float.NegativeInfinity), MinMaxScan.Scan([]));

    [Fact]
    public void ColumnsAreScannedOneByOne()
    {
        const int columns = 19, rows = 5;
        for (int at = 0; at < rows * columns; at++)
        {
            float[] x = [.. Enumerable.Range(0, rows * columns).Select(i => MathF.Sin(i))];
            foreach (float special in new[] { -7f, 9f, float.NegativeInfinity, float.NaN })
            {
                x[at] = special;
                float[] min = new float[columns], max = new float[columns];
                Array.Fill(min, float.PositiveInfinity);
                Array.Fill(max, float.NegativeInfinity);
                MinMaxScan.ScanColumns(x, min, max);
                for (int c = 0; c < columns; c++)
                    Assert.Equal(MinMaxScan.Scan([.. Enumerable.Range(0, rows).Select(r => x[r * columns + c])]), (min[c], max[c]));
            }
        }
    }
}
