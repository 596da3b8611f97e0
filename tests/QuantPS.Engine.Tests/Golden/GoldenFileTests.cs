namespace QuantPS.Engine.Tests.Golden;

public class GoldenFileTests
{
    [Theory]
    [InlineData("observers_torch113.json", 216)]
    [InlineData("quantize_torch113.json", 90)]
    [InlineData("quantize_libtorch210.json", 80)]
    [InlineData("kernels_torch113.json", 201)]
    [InlineData("kernels_libtorch210.json", 240)]
    [InlineData("eager_torch113.json", 48)]
    [InlineData("founding_torch113.json", 3)]
    [InlineData("ops_torch113.json", 363)]
    public void EveryFileHoldsAllItsCases(string name, int count) => Assert.Equal(count, GoldenFile.Load(name).Cases.Count);

    [Fact]
    public void TensorsDecodeToTheirShape()
    {
        var c = GoldenFile.Load("quantize_torch113.json")["t00"];
        Assert.Equal([120], c.GetProperty("x").Shape());
        Assert.Equal(120, c.GetProperty("x").Tensor().Length);
        Assert.Equal(120, c.GetProperty("q").Integers().Length);
        Assert.Throws<InvalidDataException>(() => c.GetProperty("x").Elements<int>());
    }
}
