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

    private const int TileStarts = ConvTileCode256.MostBlocks * ConvTileCode256.MostPixels * ConvTileCode256.Lanes;

    [ThreadStatic]
    private static ExcessInputs? mine;

    private int[] places = new int[64];
    private byte[] excesses = new byte[64];
    private Term[] terms = new Term[64];
    private Tile[] tiles = new Tile[64];
    private (int Tile, int WithTerms)[] bands = new (int, int)[64];
    private int count, termCount, tileCount, bandCount, allTiles;

    // Of each run, the first that the last tile's windows saw, or the one behind them.
    private int[] firsts = new int[16];

    // Pinned, because code reads them: of each tile a pointer to its starts, if it has its own; and these.
    private long[] table = Pinned<long>(64);
    private int[] starts = Pinned<int>(64);

    /// <summary>This thread's.</summary>
    public static ExcessInputs OfThread => mine ??= new ExcessInputs();

    /// <summary>Whether any input is above.</summary>
    public bool Any => count > 0;

    /// <summary>Finds the inputs above 127 among those from an address on. False if they are more than one in so many.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public bool Find(byte* from, int bytes, int rare)
    {
        count = termCount = tileCount = bandCount = allTiles = 0;
        int most = bytes / rare, at = 0;
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
        if (bandCount + 1 >= bands.Length)
            Array.Resize(ref bands, 2 * bands.Length);
        bands[bandCount++] = (allTiles, tileCount);
    }

    /// <summary>Notes the terms of a band's next tile.</summary>
    /// <param name="start">Where the window of the tile's first pixel is, from the address on that was given to <see cref="Find"/>.</param>
    /// <param name="pixels">Windows of all pixels from there, in rising order.</param>
    /// <param name="runs">Where in a window runs of bytes that count begin.</param>
    /// <param name="runBytes">Bytes of a run.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void AddTile(int start, int[] pixels, int[] runs, int runBytes)
    {
        int before = termCount;
        if (firsts.Length < runs.Length)
            firsts = new int[runs.Length];
        for (int run = 0; run < runs.Length; run++)
        {
            // Windows mostly follow each other: the search goes on from where the last tile's began.
            int from = start + runs[run], first = FirstFrom(from, firsts[run]);
            firsts[run] = first;
            if (first == count || places[first] >= from + pixels[^1] + runBytes)
                continue;
            for (int p = 0; p < pixels.Length; p++)
            {
                int window = from + pixels[p];
                while (first < count && places[first] < window)
                    first++;
                for (int i = first; i < count && places[i] < window + runBytes; i++)
                {
                    if (termCount == terms.Length)
                        Array.Resize(ref terms, 2 * termCount);
                    terms[termCount++] = new Term(p, run, places[i] - window, excesses[i]);
                }
            }
        }
        if (termCount > before)
        {
            if (tileCount == tiles.Length)
                Array.Resize(ref tiles, 2 * tileCount);
            tiles[tileCount++] = new Tile(allTiles, before, termCount - before);
        }
        allTiles++;
    }

    /// <summary>All tiles are there: those that have terms get memory for their starts.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Finish()
    {
        bands[bandCount] = (allTiles, tileCount);
        if (table.Length < allTiles)
            table = Pinned<long>(2 * allTiles);
        Array.Clear(table, 0, allTiles);
        int most = 0;
        for (int band = 0; band < bandCount; band++)
            most = Math.Max(most, bands[band + 1].WithTerms - bands[band].WithTerms);
        if (starts.Length < most * TileStarts)
            starts = Pinned<int>(2 * most * TileStarts);
        for (int band = 0; band < bandCount; band++)
        {
            (int first, int end) = TilesWithTerms(band);
            for (int i = first; i < end; i++)
                table[tiles[i].Place] = (long)StartsOf(i - first);
        }
    }

    /// <summary>Numbers of the tiles of a band that have terms.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public (int First, int End) TilesWithTerms(int band) => (bands[band].WithTerms, bands[band + 1].WithTerms);

    /// <summary>Pointers to the starts of a band's tiles; null for those without terms.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int** TableOf(int band) => (int**)Unsafe.AsPointer(ref table[bands[band].Tile]);

    /// <summary>Memory for the starts of a band's n-th tile that has terms: [block][pixel][8 channels]. Bands share it, which so stays in the first-level cache.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int* StartsOf(int n) => (int*)Unsafe.AsPointer(ref starts[n * TileStarts]);

    /// <summary>The terms of a tile that has some.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ReadOnlySpan<Term> TermsOf(int tile) => terms.AsSpan(tiles[tile].First, tiles[tile].Count);

    private static T[] Pinned<T>(int length) => GC.AllocateUninitializedArray<T>(length, pinned: true);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
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

    /// <summary>The first that lies at a place or behind it, looked for from one on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private int FirstFrom(int place, int near)
    {
        int i = Math.Min(near, count);
        if (i > 0 && places[i - 1] >= place)
        {
            i = places.AsSpan(0, i).BinarySearch(place);
            return i < 0 ? ~i : i;
        }
        while (i < count && places[i] < place)
            i++;
        return i;
    }

    /// <summary>What one input has above 127, as one pixel of a tile sees it.</summary>
    /// <param name="Pixel">Of the tile.</param>
    /// <param name="Run">Of the pixel's window.</param>
    /// <param name="Place">Of the input in the run.</param>
    /// <param name="Excess">1 to 128.</param>
    internal readonly record struct Term(int Pixel, int Run, int Place, int Excess);

    /// <summary>A tile that has terms: its place among all tiles, and which terms.</summary>
    private readonly record struct Tile(int Place, int First, int Count);
}
