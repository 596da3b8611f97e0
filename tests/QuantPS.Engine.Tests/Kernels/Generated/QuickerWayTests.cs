using QuantPS.Engine.Kernels.Generated;

namespace QuantPS.Engine.Tests.Kernels.Generated;

public class QuickerWayTests
{
    [Theory]
    [InlineData(90, 0)]
    [InlineData(110, 1)]
    public void Both_ways_are_tried_and_then_the_one_with_the_shortest_time(long first, int expected)
    {
        var ways = new QuickerWay();
        for (int i = 0; i < 10; i++)
        {
            int way = ways.Next(out long start);
            Assert.Equal(i % 2, way);
            // The first of each makes code and packs weights.
            Assert.Equal(i >= 2, start != 0);
            if (i >= 2)
                Assert.Equal(i < 9 ? null : 1 - expected, ways.Count(way, way == 0 ? (i == 6 ? first : 1000) : (i == 3 ? 100 : 500)));
        }
        for (int i = 0; i < 5; i++)
        {
            Assert.Equal(expected, ways.Next(out long start));
            Assert.Equal(0, start);
        }
    }

    [Fact]
    public void Runs_that_end_after_the_choice_change_nothing()
    {
        var ways = new QuickerWay();
        long[] starts = [.. Enumerable.Range(0, 12).Select(_ => { ways.Next(out long start); return start; })];
        for (int i = 2; i < 10; i++)
            ways.Count(i % 2, i % 2 == 0 ? 5 : 6);
        Assert.Equal(0, ways.Next(out _));
        Assert.Null(ways.Done(1, starts[11]));
        Assert.Equal(0, ways.Next(out _));
    }
}
