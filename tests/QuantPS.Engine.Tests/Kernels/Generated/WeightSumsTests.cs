using QuantPS.Engine.Kernels.Generated;

namespace QuantPS.Engine.Tests.Kernels.Generated;

public class WeightSumsTests
{
    /// <summary>Around the vector's 32 bytes, and around the 128 vectors after which int16 lanes are emptied.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(31)]
    [InlineData(32)]
    [InlineData(33)]
    [InlineData(4095)]
    [InlineData(4096)]
    [InlineData(4128)]
    [InlineData(4129)]
    [InlineData(9000)]
    public void Positive_and_negative_weights_are_added_up(int count)
    {
        var random = new Random(count);
        sbyte[][] all = [[.. Enumerable.Range(0, count).Select(_ => (sbyte)random.Next(-128, 128))], [.. Enumerable.Repeat((sbyte)-128, count)], [.. Enumerable.Repeat((sbyte)127, count)]];
        foreach (sbyte[] weights in all)
            Assert.Equal((weights.Where(w => w > 0).Sum(w => w), -weights.Where(w => w < 0).Sum(w => w)), WeightSums.Of(weights));
    }
}
