using System.Buffers;

namespace QuantPS.Engine.Observers;

/// <summary>How PyTorch 2.x's HistogramObserver takes a batch in, and how histograms of different ranges are brought together.</summary>
/// <remarks>Source: torch/ao/quantization/observer.py of 2.x, HistogramObserver.forward, _combine_histograms.</remarks>
internal static class HistogramV2
{
    /// <summary>Parts that an old bin is split into when the range grows: upsample_rate.</summary>
    private const int UpsampleRate = 16;

    /// <summary>Takes a batch in.</summary>
    /// <param name="state">Changed.</param>
    /// <param name="data">Elements; infinite ones are left out when there are no NaN.</param>
    /// <param name="min">The batch's smallest element, NaN when it holds NaN.</param>
    /// <param name="max">The batch's largest element.</param>
    /// <param name="threads">Who may help.</param>
    public static void Observe(HistogramState state, ReadOnlySpan<float> data, float min, float max, IWorkSharing? threads)
    {
        if (state.IsNaN || float.IsNaN(min))
        {
            state.SetNaN();
            return;
        }
        if (float.IsInfinity(min) || float.IsInfinity(max))
        {
            (min, max) = FiniteRange(data);
            if (min > max)
                return;
        }
        if (state.IsEmpty)
        {
            Histc.Count(data, state.Counts, min, max, min, max, divideFirst: false, threads);
            (state.Min, state.Max) = (min, max);
            return;
        }
        (float newMin, float newMax) = (MathF.Min(state.Min, min), MathF.Max(state.Max, max));
        float[] counts = state.TakeSpare();
        Histc.Count(data, counts, newMin, newMax, min, max, divideFirst: false, threads);
        if (newMin == state.Min && newMax == state.Max)
            Add(counts, state.Counts);
        else
        {
            float[] rented = ArrayPool<float>.Shared.Rent(counts.Length);
            Span<float> old = rented.AsSpan(0, counts.Length);
            Rebin(state, newMin, newMax, old);
            Add(counts, old);
            ArrayPool<float>.Shared.Return(rented);
        }
        state.Replace(newMin, newMax, counts);
    }

    /// <summary>The batch's extremes; its counts too, when it stays within the range so far.</summary>
    public static ValueRange CountAhead(HistogramState state, BatchAhead ahead, ReadOnlySpan<float> data, IWorkSharing? threads) =>
        Histc.CountAhead(ahead, data, state.Counts.Length, state.Min, state.Max, divideFirst: false, new ValueRange(state.Min, state.Max), threads);

    private static void Add(Span<float> counts, ReadOnlySpan<float> more)
    {
        for (int b = 0; b < counts.Length; b++)
            counts[b] += more[b];
    }

    /// <summary>The histogram spread over a wider range: every bin's mass in 16 equal parts, each to the bin in which its midpoint lies.</summary>
    /// <param name="state">The histogram.</param>
    /// <param name="newMin">Lower end of the range.</param>
    /// <param name="newMax">Upper end.</param>
    /// <param name="result">As many bins; overwritten.</param>
    public static void Rebin(HistogramState state, float newMin, float newMax, Span<float> result)
    {
        int bins = state.Counts.Length;
        result.Clear();
        if (state.Min == state.Max)
        {
            Histc.Count([state.Min], result, newMin, newMax, state.Min, state.Max, divideFirst: false);
            float mass = (float)PairwiseSum.Of(state.Counts);
            for (int b = 0; b < bins; b++)
                result[b] *= mass;
            return;
        }
        int parts = bins * UpsampleRate;
        float half = 0.5f * ((state.Max - state.Min) / parts);
        float[] middles = ArrayPool<float>.Shared.Rent(parts);
        new TorchLinspace(state.Min, state.Max, parts + 1).Fill(middles.AsSpan(0, parts), half);
        float[] rentedEdges = ArrayPool<float>.Shared.Rent(bins + 1);
        Span<float> edges = rentedEdges.AsSpan(0, bins + 1);
        FillEdges(newMin, newMax, edges, out bool ascending);
        // The midpoints ascend as well, but for an ulp where the halves of their linspace meet.
        ReadOnlySpan<float> ordered = middles.AsSpan(0, parts);
        if (ascending && ordered[parts / 2 - 1] <= ordered[parts / 2])
            SpreadAscending(state.Counts, ordered, edges, result);
        else
            SpreadAny(state.Counts, ordered, edges, result);
        ArrayPool<float>.Shared.Return(rentedEdges);
        ArrayPool<float>.Shared.Return(middles);
    }

    /// <summary>Adds every part's share to its bin, in PyTorch's order.</summary>
    /// <remarks>The sum of the bin at hand stays in a register: neighbouring parts mostly fall into the same one, and an addition through memory
    /// would wait for the store before it.</remarks>
    private static void SpreadAscending(float[] counts, ReadOnlySpan<float> middles, ReadOnlySpan<float> edges, Span<float> result)
    {
        int target = 0;
        float sum = 0, next = counts.Length > 1 ? edges[1] : float.PositiveInfinity;
        for (int old = 0; old < counts.Length; old++)
        {
            float mass = counts[old];
            if (mass == 0)
                continue;
            float share = mass / UpsampleRate;
            foreach (float middle in middles.Slice(old * UpsampleRate, UpsampleRate))
            {
                // What lies beyond the last edge stays in the last bin, what lies before the first edge in the first.
                while (middle >= next)
                {
                    result[target++] = sum;
                    sum = 0;
                    next = target + 1 < counts.Length ? edges[target + 1] : float.PositiveInfinity;
                }
                sum += share;
            }
        }
        result[target] = sum;
    }

    private static void SpreadAny(float[] counts, ReadOnlySpan<float> middles, ReadOnlySpan<float> edges, Span<float> result)
    {
        for (int k = 0; k < middles.Length; k++)
        {
            float mass = counts[k / UpsampleRate];
            if (mass != 0)
                result[Math.Clamp(UpperBound(edges, middles[k]) - 1, 0, counts.Length - 1)] += mass / UpsampleRate;
        }
    }

    /// <summary>torch.linspace(min, max, bins + 1).</summary>
    /// <param name="min">Lower edge.</param>
    /// <param name="max">Upper edge.</param>
    /// <param name="bins">Number of bins.</param>
    /// <param name="ascending">False where rounding put two edges out of order.</param>
    public static float[] Edges(float min, float max, int bins, out bool ascending)
    {
        float[] edges = new float[bins + 1];
        FillEdges(min, max, edges, out ascending);
        return edges;
    }

    private static void FillEdges(float min, float max, Span<float> edges, out bool ascending)
    {
        new TorchLinspace(min, max, edges.Length).Fill(edges, 0f);
        ascending = true;
        // The two halves of a linspace may meet an ulp out of order when the range is narrow and far from zero.
        for (int k = 1; k < edges.Length; k++)
            ascending &= edges[k] >= edges[k - 1];
    }

    /// <summary>torch.bucketize(right=True): the binary search itself matters on edges that are not sorted.</summary>
    private static int UpperBound(ReadOnlySpan<float> edges, float value)
    {
        int start = 0, end = edges.Length;
        while (start < end)
        {
            int middle = start + ((end - start) >> 1);
            if (edges[middle] > value)
                end = middle;
            else
                start = middle + 1;
        }
        return start;
    }

    private static (float Min, float Max) FiniteRange(ReadOnlySpan<float> data)
    {
        float min = float.PositiveInfinity, max = float.NegativeInfinity;
        foreach (float v in data)
        {
            if (!float.IsFinite(v))
                continue;
            min = MathF.Min(min, v);
            max = MathF.Max(max, v);
        }
        return (min + 0f, max + 0f);
    }
}
