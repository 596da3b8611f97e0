using System.Diagnostics;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>Two ways to the same result, of which the first runs show the quicker one: each is run once without the clock, then both by turns, and the shortest time of each counts.</summary>
/// <remarks>Any number of threads may run at once; what one of them measures may then be too long, so that at worst the slower way is taken.</remarks>
internal sealed class QuickerWay
{
    // Counted runs of each.
    private const int Rounds = 4;

    private readonly Lock gate = new();
    private readonly long[] shortest = [long.MaxValue, long.MaxValue];
    private int begun, counted;
    private volatile int chosen = -1;

    /// <summary>Which way to go: 0 or 1.</summary>
    /// <param name="start">To be given back to <see cref="Done"/>.</param>
    public int Next(out long start)
    {
        start = 0;
        if (chosen is >= 0 and int known)
            return known;
        int run = Interlocked.Increment(ref begun) - 1;
        // A run that is not counted has no start.
        start = run < 2 ? 0 : Stopwatch.GetTimestamp();
        return run % 2;
    }

    /// <summary>A run is over. Returns the way that is not gone any more, if it was the run that decided it.</summary>
    public int? Done(int way, long start) => start == 0 || chosen >= 0 ? null : Count(way, Stopwatch.GetTimestamp() - start);

    /// <summary>A counted run of a way took so long, in any unit.</summary>
    internal int? Count(int way, long took)
    {
        lock (gate)
        {
            shortest[way] = Math.Min(shortest[way], took);
            if (++counted != 2 * Rounds)
                return null;
            chosen = shortest[1] < shortest[0] ? 1 : 0;
            return 1 - chosen;
        }
    }
}
