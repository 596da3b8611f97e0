namespace QuantPS.Engine.Kernels;

/// <summary>Threads that wait for slices of a kernel's work: spinning for a moment, because the next layer usually follows at once, then asleep.</summary>
/// <remarks>The thread pool takes tens of microseconds to get a second thread going, which is longer than many layers run. One call uses the pool at
/// a time; another one meanwhile, or one from inside a slice, runs on its own thread alone.</remarks>
internal static class WorkerPool
{
    // About a millisecond of spinning before a worker goes to sleep: waking takes longer than many layers.
    private const int Spins = 5000, Pause = 20;

    // A caller that waits for a slice gives its core away sooner: where cores are scarce, the slice may be waiting for just that.
    private const int FinishSpins = 250;

    // Offers that a worker may miss before its caller makes way for it.
    private const int MostMissed = 1;

    private static readonly Lock Gate = new();
    private static readonly List<Worker> Workers = [];

    [ThreadStatic]
    private static bool inside;

    /// <summary>Splits jobs [0, n) into <paramref name="count"/> contiguous parts and runs them, the first on the calling thread. All parts run,
    /// whatever another one throws; the exception of the first that failed is thrown when all are done.</summary>
    /// <param name="count">Parts.</param>
    /// <param name="jobs">n.</param>
    /// <param name="work">Does a part.</param>
    /// <param name="multiple">Parts begin at multiples of this.</param>
    public static void Run<TWork>(int count, int jobs, TWork work, int multiple = 1) where TWork : struct, IKernelWork
    {
        if (inside || !Gate.TryEnter())
        {
            Parts<TWork> own = new(work, jobs, count, multiple);
            Exception? failure = null;
            for (int i = 0; i < count; i++)
                failure = own.Try(i) is { } mine ? failure ?? mine : failure;
            Rethrow(failure);
            return;
        }
        Carrier<TWork> carrier = Carrier<TWork>.Instance;
        try
        {
            inside = true;
            carrier.Parts = new(work, jobs, count, multiple);
            while (Workers.Count < count - 1)
                Workers.Add(new Worker());
            for (int i = 1; i < count; i++)
                Workers[i - 1].Start(carrier, i);
            Exception? error = carrier.Try(0);
            // Also after an exception: the parts use memory of this call.
            for (int i = 1; i < count; i++)
                error = Workers[i - 1].Finish() is { } other ? error ?? other : error;
            Rethrow(error);
        }
        finally
        {
            carrier.Parts = default;
            inside = false;
            Gate.Exit();
        }
    }

    private static void Rethrow(Exception? error)
    {
        if (error is not null)
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(error);
    }

    private readonly struct Parts<TWork>(TWork work, int jobs, int count, int multiple) where TWork : struct, IKernelWork
    {
        public Exception? Try(int part)
        {
            try
            {
                int from = Start(part), to = Start(part + 1);
                if (from < to)
                    work.Run(from, to);
                return null;
            }
            catch (Exception e)
            {
                return e;
            }
        }

        private int Start(int part) => part == count ? jobs : (int)((long)jobs * part / count / multiple * multiple);
    }

    private abstract class Carrier
    {
        public abstract Exception? Try(int part);
    }

    /// <summary>Takes work to other threads; one for each kind of work is enough, because one call uses the pool at a time.</summary>
    private sealed class Carrier<TWork> : Carrier where TWork : struct, IKernelWork
    {
        public static readonly Carrier<TWork> Instance = new();

        public Parts<TWork> Parts;

        public override Exception? Try(int part) => Parts.Try(part);
    }

    private sealed class Worker
    {
        // Nothing to do; a part is offered; it is being run; it is done.
        private const int Idle = 0, Offered = 1, Running = 2, Done = 3;

        private readonly ManualResetEventSlim wake = new(false, spinCount: 1);
        private Carrier? work;
        private int part;
        private Exception? error;
        private volatile int state;
        private volatile bool asleep;
        private int callersCore, missed;

        public Worker() => new Thread(Loop) { IsBackground = true, Name = "QuantPS kernel" }.Start();

        public void Start(Carrier newWork, int newPart)
        {
            (work, part, error, callersCore) = (newWork, newPart, null, ThreadPlacement.Core);
            bool sleeps = asleep;
            state = Offered;
            wake.Set();
            // Woken on this core, it has to be let in to leave for another one.
            if (sleeps)
                Thread.Yield();
        }

        /// <summary>Waits for the part. Takes it back and does it on this thread if the worker has not begun: the system may not give it a core for
        /// milliseconds.</summary>
        public Exception? Finish()
        {
            if (Interlocked.CompareExchange(ref state, Idle, Offered) == Offered)
            {
                // Perhaps it waits for this core: let it in, so that it can leave for another one.
                if (++missed > MostMissed)
                    Thread.Yield();
                return work!.Try(part);
            }
            missed = 0;
            // Parts are of equal length: the wait is short, unless the system took the worker's core away.
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
                error = work!.Try(part);
                state = Done;
            }
        }
    }
}
