namespace QuantPS.Engine.Kernels;

/// <summary>Work that threads share. A struct, so that a call allocates nothing.</summary>
internal interface IKernelWork
{
    /// <summary>Does the jobs [from, to). A thread may be given several such pieces.</summary>
    void Run(int from, int to);
}

/// <summary>How many threads a kernel may use, and the splitting of its work. Results never depend on it.</summary>
public static class KernelThreads
{
    // What is worth a thread is still shared in so many pieces.
    private const int PiecesWorthAThread = 4;

    private static int count = Environment.ProcessorCount;

    [ThreadStatic]
    private static bool isAlone;

    /// <summary>Threads of one call; the processors by default.</summary>
    public static int Count
    {
        get => count;
        set => count = value >= 1 ? value : throw new ArgumentOutOfRangeException(nameof(value), value, "At least one thread.");
    }

    /// <summary>For tests: work is shared among all threads however little it is.</summary>
    internal static bool SharesLittle { get; set; }

    /// <summary>Until the result is disposed, this thread's kernels do their work themselves: for so little of it that others, who wait in a loop for work of their own, would be in the way.</summary>
    public static AloneScope Alone()
    {
        AloneScope scope = new(isAlone);
        isAlone = true;
        return scope;
    }

    /// <summary>How many threads some work is worth: at least one, and no more than have enough to do.</summary>
    /// <param name="work">In any unit.</param>
    /// <param name="perThread">What is worth a thread.</param>
    internal static int Worth(long work, long perThread) => SharesLittle ? count : (int)Math.Clamp(work / perThread, 1, count);

    /// <summary>Splits jobs [0, n) into a contiguous part for each of so many threads; those that are done early take some of the others'.</summary>
    internal static void SplitAmong<TWork>(int threads, int jobs, TWork work) where TWork : struct, IKernelWork
    {
        threads = isAlone ? 1 : Math.Min(threads, jobs);
        if (threads > 1)
            WorkerPool.Run(threads, jobs, work);
        else if (jobs > 0)
            work.Run(0, jobs);
    }

    /// <summary>Splits jobs [0, n) into a contiguous part for each thread; those that are done early take some of the others'.</summary>
    internal static void Split<TWork>(int jobs, TWork work) where TWork : struct, IKernelWork => Split(jobs, 1, work);

    /// <summary>Splits jobs [0, n) likewise, into parts of some size: for kernels so short that a second thread need not pay.</summary>
    /// <param name="jobs">n.</param>
    /// <param name="least">Jobs that are worth a thread.</param>
    /// <param name="work">Does a piece.</param>
    /// <param name="multiple">Pieces begin at multiples of this.</param>
    internal static void Split<TWork>(int jobs, int least, TWork work, int multiple = 1) where TWork : struct, IKernelWork
    {
        int threads = isAlone ? 1 : Math.Min(count, jobs / least);
        if (threads > 1)
            WorkerPool.Run(threads, jobs, work, multiple, Math.Max(1, least / PiecesWorthAThread));
        else if (jobs > 0)
            work.Run(0, jobs);
    }

    /// <inheritdoc cref="Split{TWork}(int, TWork)"/>
    internal static void Split(int jobs, Action<int, int> part) => Split(jobs, new DelegateWork(part));

    /// <summary>A stretch without other threads.</summary>
    public readonly struct AloneScope : IDisposable
    {
        private readonly bool before;

        internal AloneScope(bool before) => this.before = before;

        public void Dispose() => isAlone = before;
    }

    private readonly struct DelegateWork(Action<int, int> part) : IKernelWork
    {
        public void Run(int from, int to) => part(from, to);
    }
}
