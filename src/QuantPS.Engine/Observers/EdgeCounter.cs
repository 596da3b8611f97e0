using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace QuantPS.Engine.Observers;

/// <summary>Edges of bins that are all but evenly spaced: how to guess a value's bin, and how far off the guess may be.</summary>
internal readonly struct EvenEdges
{
    public EvenEdges(double[] edges)
    {
        Edges = edges;
        int bins = edges.Length - 1;
        First = (float)edges[0];
        PerUnit = (float)(bins / (edges[^1] - edges[0]));
        double off = 0;
        for (int k = 0; k < edges.Length; k++)
            off = Math.Max(off, Math.Abs((edges[k] - First) * PerUnit - k));
        // The guess is three float32 operations on numbers up to the number of bins.
        Doubt = (float)(off + bins * 2.5e-7 + 1e-6);
    }

    public double[] Edges { get; }

    public float First { get; }

    /// <summary>Bins per unit of the values.</summary>
    public float PerUnit { get; }

    /// <summary>The part of a bin at each of its ends where the guess does not decide. NaN for edges without a width.</summary>
    public float Doubt { get; }
}

/// <summary>Counts values between <see cref="EvenEdges"/>, many at a time, with the result of a rule that takes them one by one.</summary>
/// <remarks>A value clearly within a bin is in that bin by any rule. What is near an edge, outside, or not a number goes to the rule; zeros, of
/// which activations have many and which often are an edge, go there once and count as often as they occur.</remarks>
internal static class EdgeCounter
{
    private const int Doubtful = 1024;

    /// <summary>Counts the values it gets, by the definition of the histogram.</summary>
    public delegate void Rule(ReadOnlySpan<float> values);

    /// <param name="data">Elements.</param>
    /// <param name="counts">Added to.</param>
    /// <param name="edges">One more than counts.</param>
    /// <param name="absolute">Whether the elements' absolute values are counted; the rule gets these.</param>
    /// <param name="rule">Counts into the same counts.</param>
    public static void Count(ReadOnlySpan<float> data, long[] counts, EvenEdges edges, bool absolute, Rule rule)
    {
        int bins = counts.Length, lanes = Vector256<float>.Count;
        // Behind the bins of each table is a slot for what is not counted here.
        int slots = bins + 1, tables = slots <= 512 ? 8 : 4;
        bool fast = edges.Doubt < 0.25f && bins < 1 << 22 && data.Length >= slots;
        int whole = fast ? data.Length / lanes * lanes : 0;
        Span<float> rest = stackalloc float[Doubtful];
        int waiting = 0;
        long zeros = 0;
        if (whole > 0)
        {
            int[] rented = ArrayPool<int>.Shared.Rent(slots * tables);
            Span<int> table = rented.AsSpan(0, slots * tables);
            table.Clear();
            ref float x = ref MemoryMarshal.GetReference(data);
            ref int t = ref MemoryMarshal.GetReference(table);
            nint second = slots, third = 2 * slots, fourth = 3 * slots, upper = tables == 8 ? 4 * slots : 0;
            Vector256<float> first = Vector256.Create(edges.First), perUnit = Vector256.Create(edges.PerUnit);
            Vector256<float> low = Vector256.Create(edges.Doubt), high = Vector256<float>.One - low, end = Vector256.Create((float)bins);
            Vector256<float> sign = absolute ? Vector256.Create(-0f) : Vector256<float>.Zero;
            Vector256<int> none = Vector256.Create(bins);
            for (int i = whole - lanes; i >= 0; i -= lanes)
            {
                Vector256<float> v = Vector256.AndNot(Vector256.LoadUnsafe(ref Unsafe.Add(ref x, i)), sign);
                Vector256<float> position = (v - first) * perUnit;
                Vector256<int> bin = Vector256.ConvertToInt32Native(position);
                Vector256<float> part = position - Vector256.ConvertToSingle(bin);
                Vector256<float> isZero = Vector256.Equals(v, Vector256<float>.Zero);
                Vector256<float> isClear = Vector256.AndNot(
                    Vector256.GreaterThan(part, low) & Vector256.LessThan(part, high) & Vector256.LessThan(position, end), isZero);
                bin = Vector256.ConditionalSelect(isClear.AsInt32(), bin, none);
                // No clear position reaches the end; the minimum keeps the unchecked writes inside the table whatever happens.
                Vector256<ulong> pairs = Vector256.Min(bin.AsUInt32(), none.AsUInt32()).AsUInt64();
                ulong a = pairs.GetElement(0), b = pairs.GetElement(1), c = pairs.GetElement(2), d = pairs.GetElement(3);
                Unsafe.Add(ref t, (nint)(uint)a)++;
                Unsafe.Add(ref t, second + (nint)(a >> 32))++;
                Unsafe.Add(ref t, third + (nint)(uint)b)++;
                Unsafe.Add(ref t, fourth + (nint)(b >> 32))++;
                Unsafe.Add(ref t, upper + (nint)(uint)c)++;
                Unsafe.Add(ref t, upper + second + (nint)(c >> 32))++;
                Unsafe.Add(ref t, upper + third + (nint)(uint)d)++;
                Unsafe.Add(ref t, upper + fourth + (nint)(d >> 32))++;
                uint zeroBits = isZero.ExtractMostSignificantBits();
                zeros += uint.PopCount(zeroBits);
                uint doubtful = ~(isClear.ExtractMostSignificantBits() | zeroBits) & 0xFF;
                if (doubtful == 0)
                    continue;
                if (waiting > Doubtful - lanes)
                    Decide(rest, ref waiting, rule);
                for (; doubtful != 0; doubtful &= doubtful - 1)
                    rest[waiting++] = v.GetElement(int.TrailingZeroCount((int)doubtful));
            }
            for (int b = 0; b < bins; b++)
            {
                long sum = 0;
                for (int k = 0; k < tables; k++)
                    sum += table[k * slots + b];
                counts[b] += sum;
            }
            ArrayPool<int>.Shared.Return(rented);
        }
        Decide(rest, ref waiting, rule);
        foreach (float v in data[whole..])
        {
            rest[waiting++] = absolute ? MathF.Abs(v) : v;
            if (waiting == Doubtful)
                Decide(rest, ref waiting, rule);
        }
        Decide(rest, ref waiting, rule);
        if (zeros > 0)
            CountZeros(counts, zeros, rule);
    }

    private static void Decide(ReadOnlySpan<float> rest, ref int waiting, Rule rule)
    {
        rule(rest[..waiting]);
        waiting = 0;
    }

    /// <summary>The rule counts one; the others go where that one went.</summary>
    private static void CountZeros(long[] counts, long zeros, Rule rule)
    {
        long[] before = ArrayPool<long>.Shared.Rent(counts.Length);
        counts.CopyTo(before, 0);
        rule([0f]);
        for (int b = 0; b < counts.Length; b++)
            counts[b] += (counts[b] - before[b]) * (zeros - 1);
        ArrayPool<long>.Shared.Return(before);
    }
}
