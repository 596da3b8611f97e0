using QuantPS.Engine.Kernels;

namespace QuantPS.Engine.Tests.Kernels;

[Collection(nameof(KernelThreads))]
public class WorkerPoolTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(5)]
    public void Every_slice_runs_once(int count)
    {
        var runs = new int[count];
        for (int round = 0; round < 2000; round++)
            Run(count, i => Interlocked.Increment(ref runs[i]));
        Assert.All(runs, r => Assert.Equal(2000, r));
    }

    [Fact]
    public void An_exception_of_any_slice_comes_back_after_all_are_done()
    {
        for (int bad = 0; bad < 4; bad++)
        {
            int finished = 0;
            var e = Assert.Throws<InvalidOperationException>(() => Run(4, i =>
            {
                if (i == bad)
                    throw new InvalidOperationException($"slice {i}");
                Thread.Sleep(5);
                Interlocked.Increment(ref finished);
            }));
            Assert.Equal($"slice {bad}", e.Message);
            Assert.Equal(3, finished);
        }
    }

    [Fact]
    public void Calls_from_inside_and_from_many_threads_at_once_all_finish()
    {
        int total = 0;
        Parallel.For(0, 8, _ =>
        {
            for (int round = 0; round < 200; round++)
                Run(3, _ => Run(3, _ => Interlocked.Increment(ref total)));
        });
        Assert.Equal(8 * 200 * 9, total);
    }

    [Fact]
    public void Splitting_covers_all_jobs_without_overlap()
    {
        int before = KernelThreads.Count;
        try
        {
            foreach (int threads in new[] { 1, 2, 3, 7 })
            {
                KernelThreads.Count = threads;
                foreach (int jobs in new[] { 0, 1, 2, 6, 7, 100 })
                {
                    var seen = new int[jobs];
                    KernelThreads.Split(jobs, (a, b) =>
                    {
                        for (int j = a; j < b; j++)
                            Interlocked.Increment(ref seen[j]);
                    });
                    Assert.All(seen, s => Assert.Equal(1, s));
                }
            }
        }
        finally
        {
            KernelThreads.Count = before;
        }
    }

    /// <summary>A thread that is held up keeps only the piece that it has.</summary>
    [Fact]
    public void Others_do_what_a_slow_thread_leaves()
    {
        int done = 0;
        bool others = false;
        WorkerPool.Run(2, 64, new Slices(i =>
        {
            // Its thread has taken half of 32 jobs at most: all others are done before this one is.
            if (i == 0)
                others = SpinWait.SpinUntil(() => Volatile.Read(ref done) >= 48, TimeSpan.FromSeconds(30));
            Interlocked.Increment(ref done);
        }));
        Assert.True(others);
        Assert.Equal(64, done);
    }

    private static void Run(int count, Action<int> slice) => WorkerPool.Run(count, count, new Slices(slice));

    private readonly struct Slices(Action<int> slice) : IKernelWork
    {
        public void Run(int from, int to)
        {
            for (int i = from; i < to; i++)
                slice(i);
        }
    }
}
