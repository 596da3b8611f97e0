namespace QuantPS.Engine.Kernels;

/// <summary>Threads that wait for slices of a kernel's work: spinning for a moment, because the next layer usually follows at once, then asleep.</summary>
/// <remarks>The thread pool takes tens of microseconds to get a second thread going, which is longer than many layers run. One call uses the pool at
/// a time; another one meanwhile, or one from inside a slice, runs on its own thread alone.</remarks>
internal static class WorkerPool
{
    // About a millisecond of spinning before a worker goes to sleep. A worker that has to be woken is often put on the waker's own core, and
    // stays there for a while; one that kept spinning has a core of its own.
    private const int Spins = 5000, Pause = 20;

    // A caller that waits for a slice gives its core away sooner: where cores are scarce, the slice may be waiting for just that.
    private const int FinishSpins = 250;

    private static readonly Lock Gate = new();
    private static readonly List<Worker> Workers = [];

    [ThreadStatic]
    private static bool inside;

    /// <summary>Runs slice(i) for i in [0, count), slice 0 on the calling thread. All slices run, whatever another one throws; the exception of the
    /// first that failed is thrown when all are done.</summary>
    public static void Run(int count, Action<int> slice)
    {
        if (inside || !Gate.TryEnter())
        {
            Exception? failure = null;
            for (int i = 0; i < count; i++)
                failure = Try(slice, i) is { } mine ? failure ?? mine : failure;
            Rethrow(failure);
            return;
        }
        try
        {
            inside = true;
            while (Workers.Count < count - 1)
                Workers.Add(new Worker());
            for (int i = 1; i < count; i++)
                Workers[i - 1].Start(slice, i);
            Exception? error = Try(slice, 0);
            // Also after an exception: the slices use memory of this call.
            for (int i = 1; i < count; i++)
                error = Workers[i - 1].Finish() is { } other ? error ?? other : error;
            Rethrow(error);
        }
        finally
        {
            inside = false;
            Gate.Exit();
        }
    }

    private static Exception? Try(Action<int> slice, int index)
    {
        try
        {
            slice(index);
            return null;
        }
        catch (Exception e)
        {
            return e;
        }
    }

    private static void Rethrow(Exception? error)
    {
        if (error is not null)
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(error);
    }

    private sealed class Worker
    {
        private readonly ManualResetEventSlim work = new(false, spinCount: 1);
        private Action<int>? slice;
        private int index;
        private Exception? error;
        private volatile bool done;

        public Worker() => new Thread(Loop) { IsBackground = true, Name = "QuantPS kernel" }.Start();

        public void Start(Action<int> newSlice, int newIndex)
        {
            (slice, index, error, done) = (newSlice, newIndex, null, false);
            work.Set();
        }

        public Exception? Finish()
        {
            // Slices are of equal length: the wait is short, unless the system took the worker's core away.
            for (int i = 0; !done; i++)
            {
                if (i < FinishSpins)
                    Thread.SpinWait(Pause);
                else
                    Thread.Yield();
            }
            slice = null;
            return error;
        }

        private void Loop()
        {
            inside = true;
            while (true)
            {
                for (int i = 0; i < Spins && !work.IsSet; i++)
                    Thread.SpinWait(Pause);
                work.Wait();
                work.Reset();
                error = Try(slice!, index);
                done = true;
            }
        }
    }
}
