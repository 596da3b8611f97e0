using QuantPS.Engine.Kernels;

namespace QuantPS.Engine.Tests.Kernels;

public class LayoutConversionTests
{
    [Fact]
    public void Transposes_every_size_around_the_blocks()
    {
        var random = new Random(5);
        for (int rows = 1; rows <= 50; rows++)
        {
            for (int columns = 1; columns <= 50; columns++)
            {
                var source = new byte[rows * columns];
                random.NextBytes(source);
                byte[] target = new byte[source.Length], back = new byte[source.Length];
                LayoutConversion.Transpose(source, target, rows, columns);
                for (int i = 0; i < source.Length; i++)
                    Assert.Equal(source[i], target[i % columns * rows + i / columns]);
                LayoutConversion.Transpose(target, back, columns, rows);
                Assert.Equal(source, back);
            }
        }
    }
}
