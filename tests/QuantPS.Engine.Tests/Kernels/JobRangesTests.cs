using QuantPS.Engine.Kernels;

namespace QuantPS.Engine.Tests.Kernels;

public class JobRangesTests
{
    public static TheoryData<int, int, int, int> Cases
    {
        get
        {
            var cases = new TheoryData<int, int, int, int>();
            foreach (int ranges in new[] { 1, 2, 3, 8 })
                foreach (int jobs in new[] { 0, 1, 2, 7, 64, 1000, 100_003 })
                    foreach ((int multiple, int least) in new[] { (1, 1), (1, 10), (16, 1), (16, 40) })
                        cases.Add(ranges, jobs, multiple, least);
            return cases;
        }
    }

    [Theory, MemberData(nameof(Cases))]
    public void One_thread_gets_every_job_once_and_its_own_range_first(int count, int jobs, int multiple, int least)
    {
        JobRanges ranges = new();
        ranges.Set(count, jobs, multiple, least);
        int own = count / 2, ownStart = (int)((long)jobs * own / count / multiple * multiple);
        var seen = new int[jobs];
        bool first = true;
        while (ranges.Take(own, out int from, out int to))
        {
            Assert.InRange(to, from + 1, jobs);
            Assert.Equal(0, from % multiple);
            if (first && jobs >= count * multiple)
                Assert.Equal(ownStart, from);
            first = false;
            for (int job = from; job < to; job++)
                seen[job]++;
        }
        Assert.All(seen, s => Assert.Equal(1, s));
        Assert.False(ranges.Take(0, out _, out _));
    }

    [Fact]
    public void Pieces_become_smaller_down_to_the_least()
    {
        JobRanges ranges = new();
        ranges.Set(2, 2000, 1, 100);
        List<int> sizes = [];
        while (ranges.Take(0, out int from, out int to))
            sizes.Add(to - from);
        // Of each range of 1000 half of what is left, but 100 at least.
        Assert.Equal([500, 250, 125, 100, 25, 500, 250, 125, 100, 25], sizes);
    }

    [Fact]
    public void Many_threads_get_every_job_once()
    {
        JobRanges ranges = new();
        for (int round = 0; round < 50; round++)
        {
            const int jobs = 20_000, threads = 4;
            ranges.Set(threads, jobs, 1, 1 + round % 3);
            var seen = new int[jobs];
            Parallel.For(0, threads, new ParallelOptions { MaxDegreeOfParallelism = threads }, own =>
            {
                while (ranges.Take(own, out int from, out int to))
                    for (int job = from; job < to; job++)
                        Interlocked.Increment(ref seen[job]);
            });
            Assert.All(seen, s => Assert.Equal(1, s));
        }
    }
}
