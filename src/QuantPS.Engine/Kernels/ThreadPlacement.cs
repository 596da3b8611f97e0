using System.Runtime.InteropServices;

namespace QuantPS.Engine.Kernels;

/// <summary>Which core a thread is on, and how to leave it. Linux; elsewhere the system is left to itself.</summary>
/// <remarks>Linux often puts a thread that is woken on the core of the one that wakes it, and leaves both there for many milliseconds, because
/// threads that have just run count as hot: two threads then share one core while another idles.</remarks>
internal static unsafe partial class ThreadPlacement
{
    /// <summary>The calling thread's core; -1 where that is not known.</summary>
    public static int Core => OperatingSystem.IsLinux() ? sched_getcpu() : -1;

    /// <summary>Moves the calling thread off a core, to any other that it may run on; it is free to move again afterwards. Nothing happens if there
    /// is no other core, or the system refuses.</summary>
    public static void Leave(int core)
    {
        const int words = 16;
        ulong* allowed = stackalloc ulong[words], others = stackalloc ulong[words];
        nuint size = words * sizeof(ulong);
        if (core < 0 || core >= words * 64 || sched_getaffinity(0, size, allowed) != 0)
            return;
        bool any = false;
        for (int i = 0; i < words; i++)
        {
            others[i] = i == core / 64 ? allowed[i] & ~(1UL << core % 64) : allowed[i];
            any |= others[i] != 0;
        }
        if (any && sched_setaffinity(0, size, others) == 0)
            _ = sched_setaffinity(0, size, allowed);
    }

    [LibraryImport("libc")]
    [SuppressGCTransition]
    private static partial int sched_getcpu();

    [LibraryImport("libc")]
    private static partial int sched_getaffinity(int thread, nuint size, ulong* mask);

    [LibraryImport("libc")]
    private static partial int sched_setaffinity(int thread, nuint size, ulong* mask);
}
