using System.Buffers;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace QuantPS.Engine.Observers;

/// <summary>Counts values between <see cref="EvenEdges"/>, many at a time, with the result of a rule that takes them one by one.</summary>
/// <remarks>A value clearly within a bin is in that bin by any rule, one clearly outside is in none. What is near an edge goes to the rule; zeros
/// at an edge (half of what a ReLU gives) and values at the last one (what a clip gives) go there once and count as often as they occur. The
/// bins of a block are worked out first and counted afterwards. An increment is a load and a store of its own, of which a core finishes less than one a cycle;
/// more tables do not change that, nor does working out the next bins meanwhile.</remarks>
internal static class EdgeCounter
{
    /// <summary>Elements whose bins are worked out, and then wait to be counted in the first cache.</summary>
    private const int Block = 1024;

    /// <summary>Values that are worth a thread of their own, and its table.</summary>
    private const int LeastPart = 16384;

    /// <summary>Counts all elements.</summary>
    /// <param name="data">Elements.</param>
    /// <param name="counts">Overwritten; as many as there are bins, and room for one more.</param>
    /// <param name="edges">About where the bins are.</param>
    /// <param name="absolute">Whether the elements' absolute values are counted; the rule gets these.</param>
    /// <param name="rule">Which bin it is.</param>
    /// <param name="threads">Who may help.</param>
    /// <param name="compress">Off: the form for CPUs without AVX-512.</param>
    /// <returns>The elements' extremes.</returns>
    public static ValueRange Count<TRule>(ReadOnlySpan<float> data, Span<int> counts, EvenEdges edges, bool absolute, TRule rule, IWorkSharing? threads = null,
        bool compress = true) where TRule : struct, IBinRule
    {
        compress &= Avx512F.IsSupported;
        int parts = threads is null ? 1 : Math.Clamp(data.Length / LeastPart, 1, threads.Threads);
        if (parts == 1)
            return Part(data, counts, edges, absolute, rule, compress);
        int stride = edges.Bins + 1;
        int[] tables = ArrayPool<int>.Shared.Rent(stride * parts);
        ValueRange[] ranges = new ValueRange[parts];
        unsafe
        {
            fixed (float* x = data)
            {
                nint start = (nint)x;
                int length = data.Length;
                threads!.Run(parts, p =>
                {
                    int from = (int)((long)length * p / parts), to = (int)((long)length * (p + 1) / parts);
                    ranges[p] = Part(new ReadOnlySpan<float>((float*)start + from, to - from), tables.AsSpan(stride * p, stride), edges, absolute, rule, compress);
                });
            }
        }
        tables.AsSpan(0, edges.Bins).CopyTo(counts);
        for (int p = 1; p < parts; p++)
            Add(counts[..edges.Bins], tables.AsSpan(stride * p, edges.Bins));
        ArrayPool<int>.Shared.Return(tables);
        return ValueRange.Union(ranges);
    }

    private static ValueRange Part<TRule>(ReadOnlySpan<float> data, Span<int> counts, in EvenEdges edges, bool absolute, TRule rule, bool compress)
        where TRule : struct, IBinRule
    {
        counts[..(edges.Bins + 1)].Clear();
        (float min, float max) = (float.PositiveInfinity, float.NegativeInfinity);
        bool isNaN = false;
        int done = !edges.IsUsable ? 0 : compress ? CountCompressed(data, counts, edges, absolute, rule, ref min, ref max, ref isNaN)
            : CountWhole(data, counts, edges, absolute, rule);
        if (done == 0 || !compress)
            (min, max) = MinMaxScan.Scan(data);
        else
        {
            (float low, float high) = MinMaxScan.Scan(data[done..]);
            (min, max) = isNaN ? (float.NaN, float.NaN) : (MathF.Min(min, low), MathF.Max(max, high));
        }
        foreach (float v in data[done..])
            Decide(counts, absolute ? MathF.Abs(v) : v, 1, rule);
        return new ValueRange(min + 0f, max + 0f);
    }

    /// <summary>The bins of a block's values that are clear, side by side, then their increments.</summary>
    /// <returns>Elements counted: whole vectors.</returns>
    // Compiled for good at once: a calibration may be over before the runtime gets round to it.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int CountCompressed<TRule>(ReadOnlySpan<float> data, Span<int> table, in EvenEdges edges, bool absolute, TRule rule,
        ref float min, ref float max, ref bool isNaN) where TRule : struct, IBinRule
    {
        const int lanes = 16;
        Span<int> bins = stackalloc int[Block + lanes];
        Span<float> unclear = stackalloc float[Block + lanes];
        ref int to = ref MemoryMarshal.GetReference(bins);
        ref float rest = ref MemoryMarshal.GetReference(unclear);
        ref float x = ref MemoryMarshal.GetReference(data);
        ref int counts = ref MemoryMarshal.GetReference(table);
        // Positions with some bits behind the point: those that round to an edge are not clear, half a unit of the last bit is the doubt.
        int shift = edges.ClearBits;
        Vector128<int> shiftBy = Vector128.CreateScalar(shift);
        Vector512<float> first = Vector512.Create(edges.First), perUnit = Vector512.Create(edges.PerUnit * (1 << shift));
        Vector512<int> fraction = Vector512.Create((1 << shift) - 1);
        Vector512<uint> end = Vector512.Create((uint)edges.Bins << shift);
        Vector512<float> sign = absolute ? Vector512.Create(-0f) : Vector512<float>.Zero;
        Vector512<float> low = Vector512.Create(float.PositiveInfinity), high = Vector512.Create(float.NegativeInfinity);
        int zeros = 0, tops = 0, length = data.Length & ~(lanes - 1);
        for (int from = 0; from < length; from += Block)
        {
            int until = Math.Min(length, from + Block), n = 0, others = 0;
            for (int i = from; i < until; i += lanes)
            {
                Vector512<float> raw = Vector512.LoadUnsafe(ref x, (nuint)i);
                low = Vector512.MinNative(raw, low);
                high = Vector512.MaxNative(raw, high);
                Vector512<float> v = Vector512.AndNot(raw, sign);
                Vector512<int> position = Avx512F.ConvertToVector512Int32((v - first) * perUnit);
                // As unsigned numbers, what is below the first edge or not a number is beyond the end: unchecked writes stay inside the table.
                Vector512<int> isClear = ~Vector512.Equals(position & fraction, Vector512<int>.Zero) & Vector512.LessThan(position.AsUInt32(), end).AsInt32();
                Avx512F.Compress(Vector512<int>.Zero, isClear, Avx512F.ShiftRightLogical(position, shiftBy)).StoreUnsafe(ref to, (nuint)n);
                ulong clearBits = isClear.ExtractMostSignificantBits();
                n += BitOperations.PopCount(clearBits);
                ulong other = ~(clearBits | Vector512.Equals(v, Vector512<float>.Zero).ExtractMostSignificantBits()) & 0xFFFF;
                if (other == 0)
                    continue;
                Avx512F.Compress(Vector512<float>.Zero, ~(isClear.AsSingle() | Vector512.Equals(v, Vector512<float>.Zero)), v).StoreUnsafe(ref rest, (nuint)others);
                others += BitOperations.PopCount(other);
            }
            zeros += until - from - n - others;
            foreach (float v in unclear[..others])
            {
                if (v == edges.Last)
                    tops++;
                else
                    Decide(table, v, 1, rule);
                isNaN |= float.IsNaN(v);
            }
            int k = 0;
            for (; k <= n - 4; k += 4)
                Increment(ref counts, ref Unsafe.Add(ref to, k));
            for (; k < n; k++)
                Unsafe.Add(ref counts, (nint)(uint)Unsafe.Add(ref to, k))++;
        }
        Decide(table, 0f, zeros, rule);
        Decide(table, edges.Last, tops, rule);
        min = HorizontalMin(low);
        max = -HorizontalMin(-high);
        return length;
    }

    private static float HorizontalMin(Vector512<float> v)
    {
        Vector256<float> half = Vector256.MinNative(v.GetLower(), v.GetUpper());
        Vector128<float> quarter = Vector128.MinNative(half.GetLower(), half.GetUpper());
        return MathF.Min(MathF.Min(quarter[0], quarter[1]), MathF.Min(quarter[2], quarter[3]));
    }

    /// <summary>Four increments.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Increment(ref int counts, ref int bins)
    {
        // Two bins in one load.
        ulong a = Unsafe.As<int, ulong>(ref bins), b = Unsafe.As<int, ulong>(ref Unsafe.Add(ref bins, 2));
        Unsafe.Add(ref counts, (nint)(uint)a)++;
        Unsafe.Add(ref counts, (nint)(a >> 32))++;
        Unsafe.Add(ref counts, (nint)(uint)b)++;
        Unsafe.Add(ref counts, (nint)(b >> 32))++;
    }

    /// <summary>The same without a way to put lanes side by side: what is not clear goes to the slot behind the bins.</summary>
    private static int CountWhole<TRule>(ReadOnlySpan<float> data, Span<int> table, in EvenEdges edges, bool absolute, TRule rule) where TRule : struct, IBinRule
    {
        ref float x = ref MemoryMarshal.GetReference(data);
        ref int counts = ref MemoryMarshal.GetReference(table);
        Span<int> bins = stackalloc int[Vector256<int>.Count];
        Vector256<float> first = Vector256.Create(edges.First), perUnit = Vector256.Create(edges.PerUnit), last = Vector256.Create(edges.Last);
        Vector256<float> low = Vector256.Create(edges.Doubt), high = Vector256<float>.One - low, end = Vector256.Create((float)edges.Bins);
        Vector256<float> before = -Vector256<float>.One, behind = end + Vector256<float>.One;
        Vector256<float> sign = absolute ? Vector256.Create(-0f) : Vector256<float>.Zero;
        Vector256<int> none = Vector256.Create(edges.Bins);
        int i = 0, zeros = 0, tops = 0;
        for (; i <= data.Length - Vector256<float>.Count; i += Vector256<float>.Count)
        {
            Vector256<float> v = Vector256.AndNot(Vector256.LoadUnsafe(ref x, (nuint)i), sign);
            Vector256<float> position = (v - first) * perUnit;
            Vector256<int> bin = Vector256.ConvertToInt32Native(position);
            Vector256<float> part = position - Vector256.ConvertToSingle(bin);
            // A clear position is above 0 and below the end: the unchecked writes stay inside the table.
            Vector256<float> isClear = Vector256.GreaterThan(part, low) & Vector256.LessThan(part, high) & Vector256.LessThan(position, end);
            uint clearBits = isClear.ExtractMostSignificantBits();
            if (clearBits != 0)
            {
                Vector256.ConditionalSelect(isClear.AsInt32(), bin, none).CopyTo(bins);
                Increment(ref counts, ref bins[0]);
                Increment(ref counts, ref bins[4]);
            }
            uint zeroBits = Vector256.Equals(v, Vector256<float>.Zero).ExtractMostSignificantBits() & ~clearBits;
            zeros += BitOperations.PopCount(zeroBits);
            uint other = ~(clearBits | zeroBits) & 0xFF;
            if (other == 0)
                continue;
            uint topBits = Vector256.Equals(v, last).ExtractMostSignificantBits() & other;
            tops += BitOperations.PopCount(topBits);
            other &= ~topBits & (Vector256.GreaterThan(position, before) & Vector256.LessThan(position, behind)).ExtractMostSignificantBits();
            for (; other != 0; other &= other - 1)
                Decide(table, v.GetElement(BitOperations.TrailingZeroCount(other)), 1, rule);
        }
        Decide(table, 0f, zeros, rule);
        Decide(table, edges.Last, tops, rule);
        return i;
    }

    private static void Decide<TRule>(Span<int> table, float value, int times, TRule rule) where TRule : struct, IBinRule
    {
        if (times == 0)
            return;
        int bin = rule.BinOf(value);
        if (bin >= 0)
            table[bin] += times;
    }

    /// <summary>sums += more.</summary>
    private static void Add(Span<int> sums, ReadOnlySpan<int> more)
    {
        int b = 0;
        for (; b <= sums.Length - Vector<int>.Count; b += Vector<int>.Count)
            (new Vector<int>(sums[b..]) + new Vector<int>(more[b..])).CopyTo(sums[b..]);
        for (; b < sums.Length; b++)
            sums[b] += more[b];
    }
}
