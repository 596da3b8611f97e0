using QuantPS.Engine.Kernels.Generated;

namespace QuantPS.Engine.Tests.Kernels.Generated;

/// <summary>The hazard that <see cref="FittedQuads"/> is there for: VPMADDUBSW saturates at int16.</summary>
public class FittedQuadsTests
{
    private const int Channels = 8, QuadBytes = 4 * Channels;

    /// <summary>All-ends weights, where every pair is too much; uniform and narrow ones; and few quads.</summary>
    public static TheoryData<int, int, int, int> Cases
    {
        get
        {
            var cases = new TheoryData<int, int, int, int>();
            foreach ((int quads, int low, int high) in new[] { (1, -128, 127), (1, 127, 127), (2, -128, -128), (40, 127, 127), (40, -128, -128), (64, -128, 127), (64, -40, 40), (300, -25, 90), (300, 0, 0) })
            {
                cases.Add(quads, low, high, 255);
                cases.Add(quads, low, high, 127);
            }
            return cases;
        }
    }

    [Theory, MemberData(nameof(Cases))]
    public void No_group_saturates_and_parts_make_up_the_weights(int quads, int low, int high, int mostInput)
    {
        var random = new Random(quads * 1000 + low);
        sbyte[] weights = [.. Enumerable.Range(0, quads * QuadBytes).Select(_ => (sbyte)random.Next(low, high + 1))];
        FittedQuads fitted = new(weights, mostInput);

        int[] order = [.. fitted.Order];
        if (mostInput == 127)
            Assert.Equal(quads, order.Length);
        var packed = new sbyte[order.Length * QuadBytes];
        fitted.Write(packed);
        var sums = new int[weights.Length];
        for (int i = 0; i < packed.Length; i++)
            sums[order[i / QuadBytes] * QuadBytes + i % QuadBytes] += packed[i];
        Assert.Equal(weights.Select(w => (int)w), sums);

        int at = 0;
        for (int size = FittedQuads.MostInGroup; size >= 1; size--)
        {
            Assert.Equal(0, fitted.QuadsInGroupsOf(size) % size);
            for (int end = at + fitted.QuadsInGroupsOf(size); at < end; at += size)
            {
                for (int lane = 0; lane < QuadBytes / 2; lane++)
                {
                    // The most and the least that inputs of 0 to 255 make of a lane; of 0 to 127 likewise.
                    sbyte[] together = [.. Enumerable.Range(0, size).SelectMany(q => packed.Skip((at + q) * QuadBytes + 2 * lane).Take(2))];
                    Assert.InRange(together.Where(w => w > 0).Sum(w => mostInput * w), 0, short.MaxValue);
                    Assert.InRange(together.Where(w => w < 0).Sum(w => mostInput * w), short.MinValue, 0);
                }
            }
        }
        Assert.Equal(order.Length, at);
    }

    [Fact]
    public void Narrow_weights_go_in_fours()
    {
        var random = new Random(5);
        sbyte[] weights = [.. Enumerable.Range(0, 300 * QuadBytes).Select(_ => (sbyte)random.Next(-16, 17))];
        // Eight weights of at most 16 are 128.
        Assert.Equal(300, new FittedQuads(weights, 255).QuadsInGroupsOf(4));
    }
}
