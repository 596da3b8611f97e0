using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace QuantPS.Engine.Observers;

/// <summary>torch.histc on the CPU: how many elements fall into each of equal bins.</summary>
/// <remarks>Source: aten/src/ATen/native/cpu/HistogramKernel.cpp histogramdd_cpu_contiguous (LINEAR_INTERPOLATION), native/Histogram.cpp
/// select_outer_bin_edges. The bin is the integer part of a float32 expression whose order of operations differs between versions:
/// (x - low) * bins / (high - low) in 2.x, (x - low) / (high - low) * bins in 1.13; the same where bins is a power of two.</remarks>
internal static class Histc
{
    /// <summary>Counts into <paramref name="counts"/> (overwritten). Elements outside [low, high] and NaN are left out; the last bin is closed.</summary>
    /// <param name="data">float32 elements, not empty.</param>
    /// <param name="counts">One float32 count a bin.</param>
    /// <param name="low">Lower edge.</param>
    /// <param name="high">Upper edge. Equal edges mean the data's own range; a single value lies in a range of one to each side.</param>
    /// <param name="dataMin">The data's smallest element.</param>
    /// <param name="dataMax">The data's largest element.</param>
    /// <param name="divideFirst">The order of operations of 1.13.</param>
    /// <remarks>Where PyTorch's position is not a number (a single value beyond 2^24, which one more or less does not widen; edges so far apart that
    /// the product overflows) it writes outside its table. Here the value goes to the middle bin, and the wide range is counted in double.</remarks>
    public static void Count(ReadOnlySpan<float> data, Span<float> counts, float low, float high, float dataMin, float dataMax, bool divideFirst)
    {
        int bins = counts.Length;
        if (low == high)
            (low, high) = (dataMin, dataMax);
        if (low == high)
            (low, high) = (low - 1f, high + 1f);
        // Two slots behind the bins: one for the upper edge itself, one for what lies outside. Several tables, because a run of equal
        // values (zeros after a ReLU) would otherwise wait for its own last increment.
        int slots = bins + 2;
        int tables = data.Length >= 4 * slots ? 4 : 1;
        int[] rented = ArrayPool<int>.Shared.Rent(slots * 4);
        Span<int> table = rented.AsSpan(0, slots * tables);
        table.Clear();
        if (low == high || !float.IsFinite((high - low) * bins))
            CountWide(data, table, low, high, bins);
        else if (tables == 1)
            CountAll(data, table, slots, 0, low, high, bins, divideFirst);
        else
            CountAll(data, table, slots, slots, low, high, bins, divideFirst);
        for (int t = 0; t < tables; t++)
            table[t * slots + bins - 1] += table[t * slots + bins];
        for (int b = 0; b < bins; b++)
        {
            int sum = 0;
            for (int t = 0; t < tables; t++)
                sum += table[t * slots + b];
            counts[b] = sum;
        }
        ArrayPool<int>.Shared.Return(rented);
    }

    /// <param name="data">Elements.</param>
    /// <param name="table">All tables, one behind the other.</param>
    /// <param name="slots">Slots of a table.</param>
    /// <param name="stride">Distance between the tables that neighbouring elements use: <paramref name="slots"/>, or 0 when there is only one.</param>
    /// <param name="low">Lower edge.</param>
    /// <param name="high">Upper edge.</param>
    /// <param name="bins">Number of bins.</param>
    /// <param name="divideFirst">The order of operations of 1.13.</param>
    private static void CountAll(ReadOnlySpan<float> data, Span<int> table, int slots, int stride, float low, float high, int bins, bool divideFirst)
    {
        float width = high - low;
        int outside = bins + 1;
        ref float x = ref MemoryMarshal.GetReference(data);
        ref int t0 = ref MemoryMarshal.GetReference(table);
        ref int t1 = ref Unsafe.Add(ref t0, stride);
        ref int t2 = ref Unsafe.Add(ref t1, stride);
        ref int t3 = ref Unsafe.Add(ref t2, stride);
        Vector256<float> lows = Vector256.Create(low), highs = Vector256.Create(high), widths = Vector256.Create(width), scale = Vector256.Create((float)bins);
        Vector256<int> outsides = Vector256.Create(outside);
        Vector256<uint> last = Vector256.Create((uint)outside);
        // From the end to the start: the scan for the range, which came before, left the end of a large batch in the cache.
        int whole = data.Length / Vector256<float>.Count * Vector256<float>.Count;
        for (int i = whole - Vector256<float>.Count; i >= 0; i -= Vector256<float>.Count)
        {
            Vector256<float> v = Vector256.LoadUnsafe(ref Unsafe.Add(ref x, i));
            Vector256<float> offset = v - lows;
            Vector256<float> position = divideFirst ? offset / widths * scale : offset * scale / widths;
            Vector256<int> inside = (Vector256.GreaterThanOrEqual(v, lows) & Vector256.LessThanOrEqual(v, highs)).AsInt32();
            Vector256<int> slot = Vector256.ConditionalSelect(inside, Vector256.ConvertToInt32Native(position), outsides);
            // No position of an element inside exceeds bins; the minimum keeps the unchecked writes below inside the table whatever happens.
            slot = Vector256.Min(slot.AsUInt32(), last).AsInt32();
            // Two slots in one move: lanes 2k and 2k + 1 are the halves of 64-bit lane k.
            ulong a = slot.AsUInt64().GetElement(0), b = slot.AsUInt64().GetElement(1), c = slot.AsUInt64().GetElement(2), d = slot.AsUInt64().GetElement(3);
            Unsafe.Add(ref t0, (nint)(uint)a)++;
            Unsafe.Add(ref t1, (nint)(a >> 32))++;
            Unsafe.Add(ref t2, (nint)(uint)b)++;
            Unsafe.Add(ref t3, (nint)(b >> 32))++;
            Unsafe.Add(ref t0, (nint)(uint)c)++;
            Unsafe.Add(ref t1, (nint)(c >> 32))++;
            Unsafe.Add(ref t2, (nint)(uint)d)++;
            Unsafe.Add(ref t3, (nint)(d >> 32))++;
        }
        foreach (float v in data[whole..])
        {
            if (!(v >= low && v <= high))
                continue;
            float position = divideFirst ? (v - low) / width * bins : (v - low) * bins / width;
            table[Math.Min((int)position, bins)]++;
        }
    }

    private static void CountWide(ReadOnlySpan<float> data, Span<int> table, float low, float high, int bins)
    {
        foreach (float v in data)
        {
            if (!(v >= low && v <= high))
                continue;
            double position = low == high ? bins / 2 : ((double)v - low) * bins / ((double)high - low);
            table[Math.Min((int)position, bins)]++;
        }
    }
}
