namespace QuantPS.Engine.Kernels;

/// <summary>Work that threads share. A struct, so that a call allocates nothing.</summary>
internal interface IKernelWork
{
    /// <summary>Does the jobs [from, to).</summary>
    void Run(int from, int to);
}

/// <summary>How many threads a kernel may use, and the splitting of its work. Results never depend on it.</summary>
public static class KernelThreads
{
    private static int count = Environment.ProcessorCount;

    /// <summary>Threads of one call; the processors by default.</summary>
    public static int Count
    {
        get => count;
        set => count = value >= 1 ? value : throw new ArgumentOutOfRangeException(nameof(value), value, "At least one thread.");
    }

    /// <summary>Splits jobs [0, n) into one contiguous part a thread.</summary>
    internal static void Split<TWork>(int jobs, TWork work) where TWork : struct, IKernelWork
    {
        int threads = Math.Min(count, jobs);
        if (threads <= 1)
        {
            if (jobs > 0)
                work.Run(0, jobs);
            return;
        }
        WorkerPool.Run(threads, jobs, work);
    }

    /// <inheritdoc cref="Split{TWork}"/>
    internal static void Split(int jobs, Action<int, int> part) => Split(jobs, new DelegateWork(part));

    private readonly struct DelegateWork(Action<int, int> part) : IKernelWork
    {
        public void Run(int from, int to) => part(from, to);
    }

    /// <summary>Splits jobs [0, n) likewise, without allocating, into parts of some size: for kernels so short that a second thread need not pay.</summary>
    /// <param name="jobs">n.</param>
    /// <param name="least">Jobs that are worth a thread.</param>
    /// <param name="work">Does a part.</param>
    /// <param name="multiple">Parts begin at multiples of this.</param>
    internal static void Split<TWork>(int jobs, int least, TWork work, int multiple = 1) where TWork : struct, IRangeWork
    {
        int threads = Math.Min(count, jobs / least);
        if (threads > 1)
            Parts<TWork>.Run(jobs, threads, multiple, work);
        else if (jobs > 0)
            work.Run(0, jobs);
    }

    /// <summary>One call's work where the slices find it; kept by its thread for the next call.</summary>
    private sealed class Parts<TWork> where TWork : struct, IRangeWork
    {
        [ThreadStatic]
        private static Parts<TWork>? idle;

        private readonly Action<int> slice;
        private int jobs, threads, multiple;
        private TWork work;

        private Parts() => slice = Slice;

        public static void Run(int jobs, int threads, int multiple, TWork work)
        {
            // Taken away while in use: work may split work of its own.
            Parts<TWork> parts = idle ?? new Parts<TWork>();
            idle = null;
            (parts.jobs, parts.threads, parts.multiple, parts.work) = (jobs, threads, multiple, work);
            try
            {
                WorkerPool.Run(threads, parts.slice);
            }
            finally
            {
                parts.work = default;
                idle = parts;
            }
        }

        private void Slice(int index)
        {
            int from = Start(index), to = Start(index + 1);
            if (from < to)
                work.Run(from, to);
        }

        private int Start(int index) => index == threads ? jobs : (int)((long)jobs * index / threads / multiple * multiple);
    }
}

/// <summary>Work on a range of jobs, a struct so that it costs no allocation.</summary>
internal interface IRangeWork
{
    /// <summary>Does the jobs [from, to).</summary>
    void Run(int from, int to);
}
