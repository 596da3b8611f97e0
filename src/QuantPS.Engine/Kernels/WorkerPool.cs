namespace QuantPS.Engine.Kernels;

/// <summary>Threads that wait for a kernel's work, and share it by <see cref="JobRanges"/>: spinning for a moment, because the next layer usually follows at once, then asleep.</summary>
/// <remarks>The thread pool takes tens of microseconds to get a second thread going, which is longer than many layers run. One call uses the pool at
/// a time; another one meanwhile, or one from inside a piece of work, runs on its own thread alone.</remarks>
internal static class WorkerPool
{
    // About a millisecond of spinning before a worker goes to sleep: waking takes longer than many layers.
    private const int Spins = 5000, Pause = 20;

    // A caller that waits for a worker gives its core away sooner: where cores are scarce, the worker may be waiting for just that.
    private const int FinishSpins = 250;

    // Offers that a worker may miss before its caller makes way for it.
    private const int MostMissed = 1;

    private static readonly Lock Gate = new();
    private static readonly List<Worker> Workers = [];

    [ThreadStatic]
    private static bool inside;

    /// <summary>Runs jobs [0, n) in pieces, on the calling thread and on workers. All pieces are run, whatever another one throws; the exception of one that failed is
    /// thrown when all are done, the caller's if there are several.</summary>
    /// <param name="count">Threads.</param>
    /// <param name="jobs">n.</param>
    /// <param name="work">Does a piece.</param>
    /// <param name="multiple">Pieces begin at multiples of this.</param>
    /// <param name="least">Jobs that are not worth being shared further.</param>
    public static void Run<TWork>(int count, int jobs, TWork work, int multiple = 1, int least = 1) where TWork : struct, IKernelWork
    {
        if (inside || !Gate.TryEnter())
        {
            work.Run(0, jobs);
            return;
        }
        Carrier<TWork> carrier = Carrier<TWork>.Instance;
        try
        {
            inside = true;
            carrier.Set(work, count, jobs, multiple, least);
            while (Workers.Count < count - 1)
                Workers.Add(new Worker());
            for (int i = 1; i < count; i++)
                Workers[i - 1].Start(carrier, i);
            Exception? error = carrier.Try(0);
            // Also after an exception: the pieces use memory of this call.
            for (int i = 1; i < count; i++)
                error = Workers[i - 1].Finish() is { } other ? error ?? other : error;
            if (error is not null)
                System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(error);
        }
        finally
        {
            carrier.Clear();
            inside = false;
            Gate.Exit();
        }
    }

    private abstract class Carrier
    {
        /// <summary>Does pieces until there are none, a range's first. Returns the first exception.</summary>
        public abstract Exception? Try(int range);
    }

    /// <summary>Takes work to other threads; one for each kind of work is enough, because one call uses the pool at a time.</summary>
    private sealed class Carrier<TWork> : Carrier where TWork : struct, IKernelWork
    {
        public static readonly Carrier<TWork> Instance = new();

        private readonly JobRanges ranges = new();
        private TWork work;

        public void Set(TWork newWork, int count, int jobs, int multiple, int least)
        {
            work = newWork;
            ranges.Set(count, jobs, multiple, least);
        }

        public void Clear() => work = default;

        public override Exception? Try(int range)
        {
            Exception? error = null;
            while (ranges.Take(range, out int from, out int to))
            {
                try
                {
                    work.Run(from, to);
                }
                catch (Exception e)
                {
                    error ??= e;
                }
            }
            return error;
        }
    }

    private sealed class Worker
    {
        // Nothing to do; a range is offered; it is being run; it is done.
        private const int Idle = 0, Offered = 1, Running = 2, Done = 3;

        private readonly ManualResetEventSlim wake = new(false, spinCount: 1);
        private Carrier? work;
        private int range;
        private Exception? error;
        private volatile int state;
        private volatile bool asleep;
        private int callersCore, missed;

        public Worker() => new Thread(Loop) { IsBackground = true, Name = "QuantPS kernel" }.Start();

        public void Start(Carrier newWork, int newRange)
        {
            (work, range, error, callersCore) = (newWork, newRange, null, ThreadPlacement.Core);
            bool sleeps = asleep;
            state = Offered;
            wake.Set();
            // Woken on this core, it has to be let in to leave for another one.
            if (sleeps)
                Thread.Yield();
        }

        /// <summary>Waits for the worker, when all pieces are taken. Takes the offer back if it has not begun: the system may not give it a core for milliseconds.</summary>
        public Exception? Finish()
        {
            if (Interlocked.CompareExchange(ref state, Idle, Offered) == Offered)
            {
                // Perhaps it waits for this core: let it in, so that it can leave for another one.
                if (++missed > MostMissed)
                    Thread.Yield();
                return null;
            }
            missed = 0;
            // Its last piece is a small one: the wait is short, unless the system took the worker's core away.
            for (int i = 0; state != Done; i++)
            {
                if (i < FinishSpins)
                    Thread.SpinWait(Pause);
                else
                    Thread.Yield();
            }
            state = Idle;
            return error;
        }

        private void Loop()
        {
            inside = true;
            while (true)
            {
                for (int i = 0; i < Spins && state != Offered; i++)
                    Thread.SpinWait(Pause);
                asleep = true;
                wake.Wait();
                asleep = false;
                // An offer behind this line sets it again; one before it is seen below.
                wake.Reset();
                if (ThreadPlacement.Core is >= 0 and int core && core == callersCore)
                    ThreadPlacement.Leave(core);
                if (Interlocked.CompareExchange(ref state, Running, Offered) != Offered)
                    continue;
                error = work!.Try(range);
                state = Done;
            }
        }
    }
}
