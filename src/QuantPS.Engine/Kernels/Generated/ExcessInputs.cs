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

    private const int TileStarts = ConvTileCode256.MostBlocks * ConvTileCode256.MostPixels * ConvTileCode256.Lanes;

    [ThreadStatic]
    private static ExcessInputs? mine;

    private int[] places = new int[64];
    private byte[] excesses = new byte[64];
    private Term[] terms = new Term[64];
    private Tile[] tiles = new Tile[64];
    private (int Tile, int WithTerms)[] bands = new (int, int)[64];
    private int count, termCount, tileCount, bandCount, allTiles;

    // Pinned, because code reads them: of each tile a pointer to its starts, if it has its own; and these.
    private long[] table = Pinned<long>(64);
    private int[] starts = Pinned<int>(64);

    /// <summary>This thread's.</summary>
    public static ExcessInputs OfThread => mine ??= new ExcessInputs();

    /// <summary>Whether any input is above.</summary>
    public bool Any => count > 0;

    /// <summary>Finds the inputs above 127 among those from an address on. False if they are too many.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public bool Find(byte* from, int bytes)
    {
        count = termCount = tileCount = bandCount = allTiles = 0;
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
        if (termCount > before)
        {
            if (tileCount == tiles.Length)
                Array.Resize(ref tiles, 2 * tileCount);
            tiles[tileCount++] = new Tile(allTiles, before, termCount - before);
        }
        allTiles++;
    }

    /// <summary>All tiles are there: those that have terms get memory for their starts.</summary>
    public void Finish()
    {
        bands[bandCount] = (allTiles, tileCount);
        if (table.Length < allTiles)
            table = Pinned<long>(2 * allTiles);
        if (starts.Length < tileCount * TileStarts)
            starts = Pinned<int>(2 * tileCount * TileStarts);
        Array.Clear(table, 0, allTiles);
        for (int i = 0; i < tileCount; i++)
            table[tiles[i].Place] = (long)StartsOf(i);
    }

    /// <summary>Numbers of the tiles of a band that have terms.</summary>
    public (int First, int End) TilesWithTerms(int band) => (bands[band].WithTerms, bands[band + 1].WithTerms);

    /// <summary>Pointers to the starts of a band's tiles; null for those without terms.</summary>
    public int** TableOf(int band) => (int**)Unsafe.AsPointer(ref table[bands[band].Tile]);

    /// <summary>Memory for the starts of a tile that has terms: [block][pixel][8 channels].</summary>
    public int* StartsOf(int tile) => (int*)Unsafe.AsPointer(ref starts[tile * TileStarts]);

    /// <summary>The terms of a tile that has some.</summary>
    public ReadOnlySpan<Term> TermsOf(int tile) => terms.AsSpan(tiles[tile].First, tiles[tile].Count);

    private static T[] Pinned<T>(int length) => GC.AllocateUninitializedArray<T>(length, pinned: true);

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

    /// <summary>A tile that has terms: its place among all tiles, and which terms.</summary>
    private readonly record struct Tile(int Place, int First, int Count);
}
