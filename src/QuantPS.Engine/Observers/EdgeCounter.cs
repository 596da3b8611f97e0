using System.Buffers;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace QuantPS.Engine.Observers;

/// <summary>Counts values between <see cref="EvenEdges"/>, many at a time, with the result of a rule that takes them one by one.</summary>
/// <remarks>A value clearly within a bin is in that bin by any rule, one clearly outside is in none. What is near an edge goes to the rule; zeros
/// at an edge (half of what a ReLU gives) and values at the last one (what a clip gives) go there once and count as often as they occur. The bins of a block
/// are worked out first and counted afterwards, in several tables, so that no increment waits for the one before it.</remarks>
internal static class EdgeCounter
{
    /// <summary>Elements looked at and counted while they are in the first cache.</summary>
    private const int Block = 1024;

    private const int Tables = 4;

    /// <summary>Counts all elements.</summary>
    /// <param name="data">Elements.</param>
    /// <param name="counts">Overwritten; as many as there are bins.</param>
    /// <param name="edges">About where the bins are.</param>
    /// <param name="absolute">Whether the elements' absolute values are counted; the rule gets these.</param>
    /// <param name="rule">Which bin it is.</param>
    /// <param name="compress">Off: the form for CPUs without AVX-512.</param>
    public static void Count<TRule>(ReadOnlySpan<float> data, Span<int> counts, in EvenEdges edges, bool absolute, TRule rule, bool compress = true)
        where TRule : struct, IBinRule => Run(data, counts, edges, absolute, rule, null, compress);

    /// <summary>Counts the elements and finds their extremes, in one pass through memory.</summary>
    /// <returns>The extremes, whether or not they are within the limits. Only if they are, the counts mean anything.</returns>
    public static ValueRange CountWithin<TRule>(ReadOnlySpan<float> data, Span<int> counts, in EvenEdges edges, bool absolute, TRule rule,
        ValueRange limits) where TRule : struct, IBinRule => Run(data, counts, edges, absolute, rule, limits, compress: true);

    private static ValueRange Run<TRule>(ReadOnlySpan<float> data, Span<int> counts, in EvenEdges edges, bool absolute, TRule rule, ValueRange? limits,
        bool compress) where TRule : struct, IBinRule
    {
        // Behind the bins of each table is a slot for what is not counted there.
        int slots = edges.Bins + 1, tables = data.Length >= 4 * slots ? Tables : 1;
        bool fast = edges.IsUsable && data.Length >= edges.Bins / 4;
        int[]? rented = fast ? ArrayPool<int>.Shared.Rent(slots * tables) : null;
        Span<int> table = fast ? rented.AsSpan(0, slots * tables) : counts;
        table.Clear();
        Span<int> bins = stackalloc int[Block + Vector512<int>.Count];
        float min = float.PositiveInfinity, max = float.NegativeInfinity;
        long zeros = 0, tops = 0;
        bool within = true;
        for (int from = 0; from < data.Length; from += Block)
        {
            ReadOnlySpan<float> block = data.Slice(from, Math.Min(Block, data.Length - from));
            if (limits is { } l)
            {
                (float low, float high) = MinMaxScan.Scan(block);
                (min, max) = (MathF.Min(min, low), MathF.Max(max, high));
                within &= low >= l.Min && high <= l.Max;
                if (!within)
                    continue;
            }
            int done = !fast ? 0
                : compress && Avx512F.IsSupported ? CountCompressed(block, table, tables > 1 ? slots : 0, edges, absolute, rule, bins, ref zeros, ref tops)
                : CountWhole(block, table, tables > 1 ? slots : 0, edges, absolute, rule, bins, ref zeros, ref tops);
            foreach (float v in block[done..])
                Decide(table, absolute ? MathF.Abs(v) : v, 1, rule);
        }
        Decide(table, 0f, zeros, rule);
        Decide(table, edges.Last, tops, rule);
        if (rented is not null)
        {
            table[..edges.Bins].CopyTo(counts);
            for (int t = 1; t < tables; t++)
            {
                ReadOnlySpan<int> other = table.Slice(t * slots, edges.Bins);
                for (int b = 0; b < other.Length; b++)
                    counts[b] += other[b];
            }
            ArrayPool<int>.Shared.Return(rented);
        }
        return new ValueRange(min, max);
    }

    /// <summary>The bins of the values that are clear, side by side, then their increments.</summary>
    /// <returns>Elements counted: whole vectors.</returns>
    private static int CountCompressed<TRule>(ReadOnlySpan<float> block, Span<int> table, int stride, in EvenEdges edges, bool absolute, TRule rule, Span<int> bins,
        ref long zeros, ref long tops) where TRule : struct, IBinRule
    {
        ref float x = ref MemoryMarshal.GetReference(block);
        ref int to = ref MemoryMarshal.GetReference(bins);
        Vector512<float> first = Vector512.Create(edges.First), perUnit = Vector512.Create(edges.PerUnit), last = Vector512.Create(edges.Last);
        Vector512<float> low = Vector512.Create(edges.Doubt), high = Vector512<float>.One - low, end = Vector512.Create((float)edges.Bins);
        Vector512<float> before = -Vector512<float>.One, behind = end + Vector512<float>.One;
        Vector512<float> sign = absolute ? Vector512.Create(-0f) : Vector512<float>.Zero;
        int n = 0, i = 0, zerosHere = 0, topsHere = 0;
        for (; i <= block.Length - Vector512<float>.Count; i += Vector512<float>.Count)
        {
            Vector512<float> v = Vector512.AndNot(Vector512.LoadUnsafe(ref x, (nuint)i), sign);
            Vector512<float> position = (v - first) * perUnit;
            Vector512<int> bin = Avx512F.ConvertToVector512Int32WithTruncation(position);
            Vector512<float> part = position - Vector512.ConvertToSingle(bin);
            // A clear position is above 0 and below the end: the unchecked writes below stay inside the table.
            Vector512<float> isClear = Vector512.GreaterThan(part, low) & Vector512.LessThan(part, high) & Vector512.LessThan(position, end);
            Avx512F.Compress(Vector512<int>.Zero, isClear.AsInt32(), bin).StoreUnsafe(ref to, (nuint)n);
            ulong clearBits = isClear.ExtractMostSignificantBits();
            ulong zeroBits = Vector512.Equals(v, Vector512<float>.Zero).ExtractMostSignificantBits() & ~clearBits;
            n += BitOperations.PopCount(clearBits);
            zerosHere += BitOperations.PopCount(zeroBits);
            ulong other = ~(clearBits | zeroBits) & 0xFFFF;
            if (other == 0)
                continue;
            ulong topBits = Vector512.Equals(v, last).ExtractMostSignificantBits() & other;
            topsHere += BitOperations.PopCount(topBits);
            other &= ~topBits & (Vector512.GreaterThan(position, before) & Vector512.LessThan(position, behind)).ExtractMostSignificantBits();
            for (; other != 0; other &= other - 1)
                Decide(table, v.GetElement((int)ulong.TrailingZeroCount(other)), 1, rule);
        }
        (zeros, tops) = (zeros + zerosHere, tops + topsHere);
        Increment(bins[..n], table, stride);
        return i;
    }

    /// <summary>The same without a way to put lanes side by side: what is not clear goes to the slot behind the bins.</summary>
    private static int CountWhole<TRule>(ReadOnlySpan<float> block, Span<int> table, int stride, in EvenEdges edges, bool absolute, TRule rule, Span<int> bins,
        ref long zeros, ref long tops) where TRule : struct, IBinRule
    {
        ref float x = ref MemoryMarshal.GetReference(block);
        ref int to = ref MemoryMarshal.GetReference(bins);
        Vector256<float> first = Vector256.Create(edges.First), perUnit = Vector256.Create(edges.PerUnit), last = Vector256.Create(edges.Last);
        Vector256<float> low = Vector256.Create(edges.Doubt), high = Vector256<float>.One - low, end = Vector256.Create((float)edges.Bins);
        Vector256<float> before = -Vector256<float>.One, behind = end + Vector256<float>.One;
        Vector256<float> sign = absolute ? Vector256.Create(-0f) : Vector256<float>.Zero;
        Vector256<int> none = Vector256.Create(edges.Bins);
        int n = 0, i = 0, zerosHere = 0, topsHere = 0;
        for (; i <= block.Length - Vector256<float>.Count; i += Vector256<float>.Count)
        {
            Vector256<float> v = Vector256.AndNot(Vector256.LoadUnsafe(ref x, (nuint)i), sign);
            Vector256<float> position = (v - first) * perUnit;
            Vector256<int> bin = Vector256.ConvertToInt32Native(position);
            Vector256<float> part = position - Vector256.ConvertToSingle(bin);
            Vector256<float> isClear = Vector256.GreaterThan(part, low) & Vector256.LessThan(part, high) & Vector256.LessThan(position, end);
            Vector256.ConditionalSelect(isClear.AsInt32(), bin, none).StoreUnsafe(ref to, (nuint)n);
            uint clearBits = isClear.ExtractMostSignificantBits();
            uint zeroBits = Vector256.Equals(v, Vector256<float>.Zero).ExtractMostSignificantBits() & ~clearBits;
            n += clearBits == 0 ? 0 : Vector256<int>.Count;
            zerosHere += BitOperations.PopCount(zeroBits);
            uint other = ~(clearBits | zeroBits) & 0xFF;
            if (other == 0)
                continue;
            uint topBits = Vector256.Equals(v, last).ExtractMostSignificantBits() & other;
            topsHere += BitOperations.PopCount(topBits);
            other &= ~topBits & (Vector256.GreaterThan(position, before) & Vector256.LessThan(position, behind)).ExtractMostSignificantBits();
            for (; other != 0; other &= other - 1)
                Decide(table, v.GetElement((int)uint.TrailingZeroCount(other)), 1, rule);
        }
        (zeros, tops) = (zeros + zerosHere, tops + topsHere);
        Increment(bins[..n], table, stride);
        return i;
    }

    /// <param name="bins">Bins, each inside a table.</param>
    /// <param name="table">All tables, one behind the other.</param>
    /// <param name="stride">Distance between the tables that neighbours use; 0 when there is only one.</param>
    private static void Increment(ReadOnlySpan<int> bins, Span<int> table, int stride)
    {
        ref int t0 = ref MemoryMarshal.GetReference(table);
        ref int t1 = ref Unsafe.Add(ref t0, stride);
        ref int t2 = ref Unsafe.Add(ref t1, stride);
        ref int t3 = ref Unsafe.Add(ref t2, stride);
        // Two bins in one load.
        ReadOnlySpan<ulong> pairs = MemoryMarshal.Cast<int, ulong>(bins);
        int k = 0;
        for (; k <= pairs.Length - 2; k += 2)
        {
            ulong a = pairs[k], b = pairs[k + 1];
            Unsafe.Add(ref t0, (nint)(uint)a)++;
            Unsafe.Add(ref t1, (nint)(a >> 32))++;
            Unsafe.Add(ref t2, (nint)(uint)b)++;
            Unsafe.Add(ref t3, (nint)(b >> 32))++;
        }
        foreach (int bin in bins[(2 * k)..])
            table[bin]++;
    }

    private static void Decide<TRule>(Span<int> table, float value, long times, TRule rule) where TRule : struct, IBinRule
    {
        if (times == 0)
            return;
        int bin = rule.BinOf(value);
        if (bin >= 0)
            table[bin] += (int)times;
    }
}
