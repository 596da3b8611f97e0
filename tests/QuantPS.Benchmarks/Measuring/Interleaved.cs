using System.Diagnostics;

namespace QuantPS.Benchmarks.Measuring;

/// <summary>Times several pieces of work in turn, A B C A B C ..., so that a machine whose speed drifts slows all of them alike.</summary>
internal static class Interleaved
{
    // ONNX Runtime's workers look for new work 2^20 times before they sleep, which is some 35 ms here.
    private static readonly TimeSpan Settle = TimeSpan.FromMilliseconds(80);

    // The runtime compiles a method anew, twice, when it was called 30 times and a tenth of a second has passed without new methods.
    private const int Compilations = 3, Calls = 40;

    private static readonly TimeSpan CompilationTakes = TimeSpan.FromMilliseconds(250), CallsTakeAtMost = TimeSpan.FromMilliseconds(300);

    /// <summary>Runs managed work until its code is what it will remain: peers in machine code have nothing of the kind, and a network of a few hundred microseconds
    /// would be measured in between.</summary>
    public static void Settled(Action work)
    {
        for (int i = 0; i < Compilations; i++)
        {
            long start = Stopwatch.GetTimestamp();
            for (int call = 0; call < Calls && Stopwatch.GetElapsedTime(start) < CallsTakeAtMost; call++)
                work();
            Thread.Sleep(CompilationTakes);
        }
    }

    /// <summary>Medians in seconds, in the order of the work. A first round is not counted.</summary>
    /// <param name="rounds">Counted rounds.</param>
    /// <param name="work">Each does its work once; the time it returns is taken when it is not null (a peer that measures itself), else the clock's.</param>
    public static double[] Medians(int rounds, params Func<double?>[] work)
    {
        var times = new double[work.Length][];
        for (int w = 0; w < work.Length; w++)
            times[w] = new double[rounds];
        for (int round = -1; round < rounds; round++)
        {
            for (int w = 0; w < work.Length; w++)
            {
                // Worker threads of the one before spin for a while when their work is over; on few cores they would be in the way.
                Thread.Sleep(Settle);
                // Once without the clock: threads wake up, the clock of the core rises, as for a layer in the middle of a network.
                work[w]();
                long start = Stopwatch.GetTimestamp();
                double seconds = work[w]() ?? Stopwatch.GetElapsedTime(start).TotalSeconds;
                if (round >= 0)
                    times[w][round] = seconds;
            }
        }
        return Array.ConvertAll(times, Median);
    }

    public static double Median(double[] values)
    {
        double[] sorted = [.. values.Order()];
        int middle = sorted.Length / 2;
        return sorted.Length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }
}
