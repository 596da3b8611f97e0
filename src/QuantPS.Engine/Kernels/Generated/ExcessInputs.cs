using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>The inputs of a chunk of bands that are above 127, for code whose sums of 16 bits are exact up to there. That code sees them limited to 127; what they have above it, their
/// excess, times their weights goes into the starts of the accumulators that see them: the same sums, bit for bit.</summary>
/// <remarks>Made for activations that are calibrated to 7 bits (reduced range), of which few are above, and for those that limits or their scale keep below 128.</remarks>
internal sealed unsafe class ExcessInputs
{
    /// <summary>The largest input that code sees.</summary>
    public const int MostInput = sbyte.MaxValue;

    // Where more than one in so many is above, weights that are fitted for all inputs cost less than the terms do.
    private const int Rare = 256;

    [ThreadStatic]
    private static ExcessInputs? mine;

    private int[] places = new int[64];
    private byte[] excesses = new byte[64];
    private int[] ends = new int[64], bands = new int[64];
    private Term[] terms = new Term[64];
    private int count, termCount, endCount, bandCount;

    /// <summary>This thread's.</summary>
    public static ExcessInputs OfThread => mine ??= new ExcessInputs();

    /// <summary>Whether any input is above.</summary>
    public bool Any => count > 0;

    /// <summary>Finds the inputs above 127 among those from an address on. False if they are too many.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public bool Find(byte* from, int bytes)
    {
        count = termCount = endCount = bandCount = 0;
        int most = bytes / Rare, at = 0;
        // Four vectors at a time, because hardly any has one.
        for (; Avx2.IsSupported && at <= bytes - 128; at += 128)
        {
            Vector256<byte> a = Vector256.Load(from + at), b = Vector256.Load(from + at + 32), c = Vector256.Load(from + at + 64), d = Vector256.Load(from + at + 96);
            if (((a | b | c | d).ExtractMostSignificantBits()) == 0)
                continue;
            if (count > most)
                return false;
            Add(from, at, a.ExtractMostSignificantBits() | (ulong)b.ExtractMostSignificantBits() << 32);
            Add(from, at + 64, c.ExtractMostSignificantBits() | (ulong)d.ExtractMostSignificantBits() << 32);
        }
        for (; at < bytes; at++)
            if (from[at] > MostInput)
                Add(from, at, 1);
        return count <= most;
    }

    /// <summary>to[i] = min(from[i], 127). Both may be the same.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Limit(byte* from, byte* to, int bytes)
    {
        int i = 0;
        for (; i <= bytes - Vector256<byte>.Count; i += Vector256<byte>.Count)
            Vector256.Min(Vector256.Load(from + i), Vector256.Create((byte)MostInput)).Store(to + i);
        for (; i < bytes; i++)
            to[i] = Math.Min(from[i], (byte)MostInput);
    }

    /// <summary>The tiles that follow are of the next band. Bands are counted from 0.</summary>
    public void AddBand()
    {
        if (bandCount == bands.Length)
            Array.Resize(ref bands, 2 * bandCount);
        bands[bandCount++] = endCount;
    }

    /// <summary>The number of a band's first tile.</summary>
    public int FirstTileOf(int band) => bands[band];

    /// <summary>Notes the terms of the next tile. Tiles are counted from 0.</summary>
    /// <param name="start">Where the window of the tile's first pixel is, from the address on that was given to <see cref="Find"/>.</param>
    /// <param name="pixels">Windows of all pixels from there, in rising order.</param>
    /// <param name="runs">Where in a window runs of bytes that count begin.</param>
    /// <param name="runBytes">Bytes of a run.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void AddTile(int start, int[] pixels, int[] runs, int runBytes)
    {
        for (int run = 0; run < runs.Length; run++)
        {
            int from = start + runs[run], first = FirstFrom(from);
            if (first == count || places[first] >= from + pixels[^1] + runBytes)
                continue;
            for (int p = 0; p < pixels.Length; p++)
            {
                int window = from + pixels[p];
                for (int i = FirstFrom(window); i < count && places[i] < window + runBytes; i++)
                {
                    if (termCount == terms.Length)
                        Array.Resize(ref terms, 2 * termCount);
                    terms[termCount++] = new Term(p, run, places[i] - window, excesses[i]);
                }
            }
        }
        if (endCount == ends.Length)
            Array.Resize(ref ends, 2 * endCount);
        ends[endCount++] = termCount;
    }

    /// <summary>The terms of a tile.</summary>
    public ReadOnlySpan<Term> TermsOf(int tile)
    {
        int first = tile == 0 ? 0 : ends[tile - 1];
        return terms.AsSpan(first, ends[tile] - first);
    }

    /// <summary>How many tiles, of some from one on, have no terms before one that has.</summary>
    public int TilesWithout(int tile, int atMost)
    {
        int first = tile == 0 ? 0 : ends[tile - 1], n = 0;
        while (n < atMost && ends[tile + n] == first)
            n++;
        return n;
    }

    private void Add(byte* from, int at, ulong which)
    {
        for (; which != 0; which &= which - 1)
        {
            if (count == places.Length)
            {
                Array.Resize(ref places, 2 * count);
                Array.Resize(ref excesses, 2 * count);
            }
            places[count] = at + BitOperations.TrailingZeroCount(which);
            excesses[count] = (byte)(from[places[count]] - MostInput);
            count++;
        }
    }

    /// <summary>The first that lies at a place or behind it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private int FirstFrom(int place)
    {
        int i = places.AsSpan(0, count).BinarySearch(place);
        return i < 0 ? ~i : i;
    }

    /// <summary>What one input has above 127, as one pixel of a tile sees it.</summary>
    /// <param name="Pixel">Of the tile.</param>
    /// <param name="Run">Of the pixel's window.</param>
    /// <param name="Place">Of the input in the run.</param>
    /// <param name="Excess">1 to 128.</param>
    internal readonly record struct Term(int Pixel, int Run, int Place, int Excess);
}
