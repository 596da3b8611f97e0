using QuantPS.Engine.Kernels;
using QuantPS.Engine.Kernels.Reference;

namespace QuantPS.Engine.Tests.Kernels;

[Collection(nameof(KernelThreads))]
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

    [Fact]
    public void Tiles_of_every_shape_equal_the_reference_on_any_number_of_threads()
    {
        var random = new Random(6);
        int before = KernelThreads.Count;
        try
        {
            foreach (int channels in new[] { 1, 2, 3, 4, 5, 7, 15, 16, 17, 24, 63, 64, 65, 100, 128, 200 })
            {
                foreach (int area in new[] { 1, 2, 4, 9, 15, 16, 49, 64, 196, 2047, 2048, 2051, 4100 })
                {
                    int batch = random.Next(1, 4);
                    KernelThreads.Count = random.Next(1, 4);
                    byte[] planes = new byte[batch * channels * area], expected = new byte[planes.Length], pixels = new byte[planes.Length], back = new byte[planes.Length];
                    random.NextBytes(planes);
                    for (int n = 0; n < batch; n++)
                        ReferenceTranspose.Run(planes.AsSpan(n * channels * area, channels * area), expected.AsSpan(n * channels * area, channels * area), channels, area, 0, channels, 0, area);
                    LayoutConversion.ToChannelsLast(planes, pixels, batch, channels, area);
                    Assert.True(expected.AsSpan().SequenceEqual(pixels), $"{batch} x {channels} x {area} to pixels");
                    LayoutConversion.ToContiguous(pixels, back, batch, channels, area);
                    Assert.True(planes.AsSpan().SequenceEqual(back), $"{batch} x {channels} x {area} to planes");
                }
            }
        }
        finally
        {
            KernelThreads.Count = before;
        }
    }
}
