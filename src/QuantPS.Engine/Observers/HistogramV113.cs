using QuantPS.Engine.Errors;

namespace QuantPS.Engine.Observers;

/// <summary>How PyTorch 1.13's HistogramObserver takes a batch in, its defects included.</summary>
/// <remarks>Source: torch/ao/quantization/observer.py of 1.13, HistogramObserver.forward, _adjust_min_max, _combine_histograms. The bounds handed
/// to histc are truncated to integers (so data within (-1, 1) is counted over its own range, other data loses its tails) while the stored
/// range is not. PyTorch repeats the old histogram into an array of bins * downsampling floats; the same sums are formed here without it.</remarks>
internal static class HistogramV113
{
    private const int UpsampleRate = 128;

    /// <summary>Takes a batch in.</summary>
    /// <exception cref="QuantException">NotFinite: the batch holds an infinity. InvalidArgument: the range grew beyond what the algorithm can combine.</exception>
    public static void Observe(HistogramState state, ReadOnlySpan<float> data, float min, float max, IWorkSharing? threads)
    {
        if (state.IsNaN || float.IsNaN(min))
        {
            state.SetNaN();
            return;
        }
        if (float.IsInfinity(min) || float.IsInfinity(max))
        {
            throw new QuantException(ErrorIds.NotFinite, "The data holds an infinity, on which the histogram of PyTorch 1.13 fails. "
                + "Leave the sample out, or use the algorithm of version 2, which leaves infinities out.");
        }
        int bins = state.Counts.Length;
        if (state.IsEmpty || state.Min == state.Max)
        {
            Histc.Count(data, state.Counts, MathF.Truncate(min), MathF.Truncate(max), min, max, divideFirst: true, threads);
            (state.Min, state.Max) = (min, max);
            return;
        }
        (float newMin, float newMax) = (MathF.Min(state.Min, min), MathF.Max(state.Max, max));
        (float part, float stride, float growth) = Parts(state, newMin, newMax);
        if (!(growth < int.MaxValue))
        {
            throw new QuantException(ErrorIds.InvalidArgument,
                $"The range grew from {state.Min}..{state.Max} to {newMin}..{newMax}: too far for the histogram of PyTorch 1.13, "
                + $"which would ask for {growth:G2} x {bins} floats. Use the algorithm of version 2.");
        }
        newMax += growth * stride - (newMax - newMin);
        long start = (long)MathF.Round((state.Min - newMin) / part, MidpointRounding.ToEven);
        float[] counts = state.TakeSpare();
        Histc.Count(data, counts, MathF.Truncate(newMin), MathF.Truncate(newMax), min, max, divideFirst: true, threads);
        if (newMin == state.Min && newMax == state.Max)
        {
            for (int b = 0; b < bins; b++)
                counts[b] += state.Counts[b];
        }
        else
            AddOld(state.Counts, counts, start, (long)growth);
        state.Replace(newMin, newMax, counts);
    }

    /// <summary>The batch's extremes; its counts too, between the bounds that histc gets for a batch within the range so far.</summary>
    public static ValueRange CountAhead(HistogramState state, BatchAhead ahead, ReadOnlySpan<float> data, IWorkSharing? threads)
    {
        if (!(state.Min < state.Max))
            return ValueRange.Of(data, threads);
        (_, float stride, float growth) = Parts(state, state.Min, state.Max);
        float high = state.Max + (growth * stride - (state.Max - state.Min));
        return Histc.CountAhead(ahead, data, state.Counts.Length, MathF.Truncate(state.Min), MathF.Truncate(high), divideFirst: true,
            new ValueRange(state.Min, state.Max), threads);
    }

    /// <summary>Adds the batch that was counted ahead.</summary>
    public static void AddAhead(HistogramState state, BatchAhead ahead)
    {
        (_, float stride, float growth) = Parts(state, state.Min, state.Max);
        // The range may grow by a part even though the data did not.
        float newMax = state.Max + (growth * stride - (state.Max - state.Min));
        if (newMax == state.Max)
        {
            state.Add(ahead.Counts);
            return;
        }
        float[] counts = state.TakeSpare();
        for (int b = 0; b < counts.Length; b++)
            counts[b] = ahead.Counts[b];
        AddOld(state.Counts, counts, 0, (long)growth);
        state.Replace(state.Min, newMax, counts);
    }

    private static (float Part, float Stride, float Growth) Parts(HistogramState state, float newMin, float newMax)
    {
        float part = (state.Max - state.Min) / ((float)state.Counts.Length * UpsampleRate);
        float stride = state.Counts.Length * part;
        return (part, stride, MathF.Ceiling((newMax - newMin) / stride));
    }

    /// <summary>Adds the differences of the cumulative sum, taken at every <paramref name="downsample"/>-th of the small parts.</summary>
    private static void AddOld(float[] old, float[] counts, long start, long downsample)
    {
        long parts = (long)old.Length * UpsampleRate;
        long part = 0;
        double sum = 0, before = 0;
        for (int b = 0; b < counts.Length; b++)
        {
            long end = b == counts.Length - 1 ? parts : Math.Min((b + 1) * downsample - start, parts);
            while (part < end)
            {
                long run = Math.Min(end, (part / UpsampleRate + 1) * UpsampleRate) - part;
                sum = AddTimes(sum, old[part / UpsampleRate], run);
                part += run;
            }
            counts[b] += (float)((sum - before) / UpsampleRate);
            before = sum;
        }
    }

    /// <summary>Adds a number, not negative, so many times, with the rounding of every addition.</summary>
    /// <remarks>As long as the sum stays below the next power of two, all its values are multiples of one unit, and each addition adds the same multiple; but
    /// for a number half a unit off one, which goes to the even neighbour.</remarks>
    internal static double AddTimes(double sum, double value, long times)
    {
        double added = sum + value - sum, last = sum + times * added;
        if (sum > 0 && Math.ILogB(sum) == Math.ILogB(last) && 2 * Math.Abs(value - added) != Math.BitIncrement(sum) - sum)
            return last;
        for (; times > 0; times--)
            sum += value;
        return sum;
    }
}
