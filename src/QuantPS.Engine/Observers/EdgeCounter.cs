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
    /// <param name="lanes">No more lanes at a time than this, for CPUs that have fewer.</param>
    /// <returns>The elements' extremes.</returns>
    public static ValueRange Count<TRule>(ReadOnlySpan<float> data, Span<int> counts, EvenEdges edges, bool absolute, TRule rule, IWorkSharing? threads = null,
        int lanes = int.MaxValue) where TRule : struct, IBinRule
    {
        int parts = threads is null ? 1 : Math.Clamp(data.Length / LeastPart, 1, threads.Threads);
        if (parts == 1)
            return Part(data, counts, edges, absolute, rule, lanes);
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
                    ranges[p] = Part(new ReadOnlySpan<float>((float*)start + from, to - from), tables.AsSpan(stride * p, stride), edges, absolute, rule, lanes);
                });
            }
        }
        tables.AsSpan(0, edges.Bins).CopyTo(counts);
        for (int p = 1; p < parts; p++)
            Add(counts[..edges.Bins], tables.AsSpan(stride * p, edges.Bins));
        ArrayPool<int>.Shared.Return(tables);
        return ValueRange.Union(ranges);
    }

    private static ValueRange Part<TRule>(ReadOnlySpan<float> data, Span<int> counts, in EvenEdges edges, bool absolute, TRule rule, int lanes)
        where TRule : struct, IBinRule
    {
        counts[..(edges.Bins + 1)].Clear();
        int done = lanes >= BinLanes512.Count && Avx512F.IsSupported ? CountWhole<BinLanes512, TRule>(data, counts, edges, absolute, rule, out ValueRange range)
            : lanes >= BinLanes256.Count && Avx2.IsSupported ? CountWhole<BinLanes256, TRule>(data, counts, edges, absolute, rule, out range)
            : CountWhole<BinLanes128, TRule>(data, counts, edges, absolute, rule, out range);
        foreach (float v in data[done..])
            Decide(counts, absolute ? MathF.Abs(v) : v, 1, rule);
        range = ValueRange.Union([range, ValueRange.Of(data[done..])]);
        return new ValueRange(range.Min + 0f, range.Max + 0f);
    }

    /// <summary>The bins of a block's values that are clear, side by side, then their increments.</summary>
    /// <param name="data">Elements.</param>
    /// <param name="table">The counts.</param>
    /// <param name="edges">About where the bins are; not usable: nothing is counted.</param>
    /// <param name="absolute">Whether absolute values are counted.</param>
    /// <param name="rule">Which bin it is where that is not clear.</param>
    /// <param name="range">Extremes of the elements counted.</param>
    /// <returns>Elements counted: whole vectors.</returns>
    // Compiled for good at once: a calibration may be over before the runtime gets round to it.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int CountWhole<TLanes, TRule>(ReadOnlySpan<float> data, Span<int> table, in EvenEdges edges, bool absolute, TRule rule, out ValueRange range)
        where TLanes : struct, IBinLanes<TLanes> where TRule : struct, IBinRule
    {
        int length = edges.IsUsable ? data.Length & ~(TLanes.Count - 1) : 0, zeros = 0, tops = 0;
        if (length == 0)
        {
            range = ValueRange.Empty;
            return 0;
        }
        Span<int> bins = stackalloc int[Block + TLanes.Count];
        Span<float> unclear = stackalloc float[Block + TLanes.Count];
        ref int to = ref MemoryMarshal.GetReference(bins);
        ref int counts = ref MemoryMarshal.GetReference(table);
        TLanes lanes = TLanes.Create(edges, absolute);
        bool isNaN = false;
        for (int from = 0; from < length; from += Block)
        {
            int some = Math.Min(length - from, Block);
            (int n, int others) = lanes.Split(ref Unsafe.Add(ref MemoryMarshal.GetReference(data), from), some, ref to, ref MemoryMarshal.GetReference(unclear));
            zeros += some - n - others;
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
        range = isNaN ? new(float.NaN, float.NaN) : lanes.Range;
        return length;
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
