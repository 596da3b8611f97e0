namespace QuantPS.Engine.Kernels;

/// <summary>Jobs [0, n) in contiguous ranges, one for each of several threads, that they take piece by piece: each from the front of its own, and when that is empty from the
/// back of the others'.</summary>
/// <remarks>A piece is half of what a range has left: large ones first, so that threads mostly work on neighbouring jobs, and small ones at the end, so that all of them are done at about
/// the same time although the system, or who else uses the core, holds one of them up.</remarks>
internal sealed class JobRanges
{
    // Pieces are no smaller than this share of a range.
    private const int LeastShare = 16;

    // A line of the cache for each range.
    private const int Step = 8;

    // Of each range the first job that nobody has taken, and in the upper half the one behind the last.
    private long[] left = [];
    private int count, multiple, least;

    /// <summary>Makes the ranges. No thread may take from them meanwhile.</summary>
    /// <param name="ranges">How many.</param>
    /// <param name="jobs">n.</param>
    /// <param name="piecesAt">Pieces begin at multiples of this.</param>
    /// <param name="leastPiece">Jobs that are not worth being shared further.</param>
    public void Set(int ranges, int jobs, int piecesAt, int leastPiece)
    {
        (count, multiple) = (ranges, piecesAt);
        least = Math.Max(1, Math.Max(leastPiece, jobs / ranges / LeastShare) / multiple) * multiple;
        if (left.Length < ranges * Step)
            left = new long[ranges * Step];
        for (int range = 0; range < ranges; range++)
            Volatile.Write(ref left[range * Step], Packed(Start(range), Start(range + 1)));

        int Start(int range) => range == ranges ? jobs : (int)((long)jobs * range / ranges / piecesAt * piecesAt);
    }

    /// <summary>A piece for a thread: of its own range or of the next one that has some left. False if all jobs are taken.</summary>
    /// <param name="own">The thread's range.</param>
    /// <param name="from">The piece's first job.</param>
    /// <param name="to">The one behind its last.</param>
    public bool Take(int own, out int from, out int to)
    {
        for (int i = 0; i < count; i++)
        {
            ref long range = ref left[(own + i) % count * Step];
            for (long seen = Volatile.Read(ref range), found; ; seen = found)
            {
                (int first, int end) = ((int)(uint)seen, (int)(seen >> 32));
                (from, to) = (first, end);
                if (first >= end)
                    break;
                int piece = Math.Max(least, (end - first) / 2 / multiple * multiple);
                if (i > 0)
                    from += Math.Max(0, end - first - piece) / multiple * multiple;
                else if (end - first > piece)
                    to = first + piece;
                found = Interlocked.CompareExchange(ref range, i > 0 ? Packed(first, from) : Packed(to, end), seen);
                if (found == seen)
                    return true;
            }
        }
        (from, to) = (0, 0);
        return false;
    }

    private static long Packed(int first, int end) => (uint)first | (long)end << 32;
}
