using QuantPS.Engine.Kernels.Generated;

namespace QuantPS.Engine.Tests.Kernels.Generated;

/// <summary>The hazard that <see cref="FittedQuads"/> is there for: VPMADDUBSW saturates at int16.</summary>
public class FittedQuadsTests
{
    private const int BlockBytes = 4 * 8;

    /// <summary>All-ends weights, where every pair is too much; uniform and narrow ones; and few quads: quads, weights from and to, blocks, largest input.</summary>
    public static TheoryData<int, int, int, int, int> Cases
    {
        get
        {
            var cases = new TheoryData<int, int, int, int, int>();
            foreach ((int quads, int low, int high) in new[] { (1, -128, 127), (1, 127, 127), (2, -128, -128), (40, 127, 127), (40, -128, -128), (64, -128, 127), (64, -40, 40), (300, -25, 90), (300, 0, 0) })
            {
                foreach (int blocks in new[] { 1, 2 })
                {
                    cases.Add(quads, low, high, blocks, 255);
                    cases.Add(quads, low, high, blocks, 127);
                }
            }
            return cases;
        }
    }

    [Theory, MemberData(nameof(Cases))]
    public void No_group_saturates_and_parts_make_up_the_weights(int quads, int low, int high, int blocks, int mostInput)
    {
        int quadBytes = blocks * BlockBytes;
        var random = new Random(quads * 1000 + low);
        sbyte[] weights = [.. Enumerable.Range(0, quads * quadBytes).Select(_ => (sbyte)random.Next(low, high + 1))];
        FittedQuads fitted = new(weights, blocks, mostInput);

        int[] order = [.. fitted.Order];
        if (mostInput == 127)
            Assert.Equal(quads, order.Length);
        var packed = new sbyte[order.Length * quadBytes];
        fitted.Write(packed);
        var sums = new int[weights.Length];
        for (int i = 0; i < packed.Length; i++)
            sums[order[i / quadBytes] * quadBytes + i % quadBytes] += packed[i];
        Assert.Equal(weights.Select(w => (int)w), sums);

        int at = 0;
        for (int size = FittedQuads.MostInGroup; size >= 1; size--)
        {
            Assert.Equal(0, fitted.QuadsInGroupsOf(size) % size);
            for (int end = at + fitted.QuadsInGroupsOf(size); at < end; at += size)
            {
                for (int lane = 0; lane < quadBytes / 2; lane++)
                {
                    // The most and the least that inputs of 0 to 255 make of a lane; of 0 to 127 likewise.
                    sbyte[] together = [.. Enumerable.Range(0, size).SelectMany(q => packed.Skip((at + q) * quadBytes + 2 * lane).Take(2))];
                    Assert.InRange(together.Where(w => w > 0).Sum(w => mostInput * w), 0, short.MaxValue);
                    Assert.InRange(together.Where(w => w < 0).Sum(w => mostInput * w), short.MinValue, 0);
                }
            }
        }
        Assert.Equal(order.Length, at);
    }

    [Theory, InlineData(1), InlineData(2)]
    public void Narrow_weights_go_in_fours(int blocks)
    {
        var random = new Random(5);
        sbyte[] weights = [.. Enumerable.Range(0, 300 * BlockBytes * blocks).Select(_ => (sbyte)random.Next(-16, 17))];
        // Eight weights of at most 16 are 128.
        Assert.Equal(300, new FittedQuads(weights, blocks, 255).QuadsInGroupsOf(4));
    }
}
