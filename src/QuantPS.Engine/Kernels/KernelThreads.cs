namespace QuantPS.Engine.Kernels;

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
    internal static void Split(int jobs, Action<int, int> part)
    {
        int threads = Math.Min(count, jobs);
        if (threads <= 1)
        {
            if (jobs > 0)
                part(0, jobs);
            return;
        }
        WorkerPool.Run(threads, t => part((int)((long)jobs * t / threads), (int)((long)jobs * (t + 1) / threads)));
    }
}
