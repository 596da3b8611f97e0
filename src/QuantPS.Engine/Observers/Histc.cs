using System.Buffers;

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
    /// <param name="threads">Who may help.</param>
    /// <remarks>Where PyTorch's position is not a number (a single value beyond 2^24, which one more or less does not widen; edges so far apart that
    /// the product overflows) it writes outside its table. Here the value goes to the middle bin, and the wide range is counted in double.</remarks>
    public static void Count(ReadOnlySpan<float> data, Span<float> counts, float low, float high, float dataMin, float dataMax, bool divideFirst,
        IWorkSharing? threads = null)
    {
        int bins = counts.Length;
        if (low == high)
            (low, high) = (dataMin, dataMax);
        if (low == high)
            (low, high) = (low - 1f, high + 1f);
        int[] rented = ArrayPool<int>.Shared.Rent(bins + 1);
        Span<int> whole = rented.AsSpan(0, bins + 1);
        if (IsWide(low, high, bins))
            EdgeCounter.Count(data, whole, new EvenEdges(low, low, bins), absolute: false, new WideRule(low, high, bins), threads);
        else
            EdgeCounter.Count(data, whole, new EvenEdges(low, high, bins), absolute: false, new PositionRule(low, high, bins, divideFirst), threads);
        for (int b = 0; b < bins; b++)
            counts[b] = whole[b];
        ArrayPool<int>.Shared.Return(rented);
    }

    /// <summary>Looks for the extremes and counts on the way, between edges that data within the limits will be counted between.</summary>
    public static ValueRange CountAhead(BatchAhead ahead, ReadOnlySpan<float> data, int bins, float low, float high, bool divideFirst, ValueRange limits,
        IWorkSharing? threads) =>
        low < high && !IsWide(low, high, bins)
            ? ahead.Count(data, new EvenEdges(low, high, bins), absolute: false, new PositionRule(low, high, bins, divideFirst), limits, threads)
            : ValueRange.Of(data, threads);

    private static bool IsWide(float low, float high, int bins) => low == high || !float.IsFinite((high - low) * bins);

    private readonly struct PositionRule(float low, float high, int bins, bool divideFirst) : IBinRule
    {
        public int BinOf(float value)
        {
            if (!(value >= low && value <= high))
                return -1;
            float position = divideFirst ? (value - low) / (high - low) * bins : (value - low) * bins / (high - low);
            return Math.Min((int)position, bins - 1);
        }
    }

    private readonly struct WideRule(float low, float high, int bins) : IBinRule
    {
        public int BinOf(float value)
        {
            if (!(value >= low && value <= high))
                return -1;
            double position = low == high ? bins / 2 : ((double)value - low) * bins / ((double)high - low);
            return Math.Min((int)position, bins - 1);
        }
    }
}
