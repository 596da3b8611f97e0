namespace QuantPS.Engine.Observers;

/// <summary>A batch counted while its extremes were looked for, on the guess that it brings nothing beyond the range seen so far.</summary>
internal sealed class BatchAhead
{
    private int[] counts = [];

    /// <summary>Whether the guess was right and the counts not yet taken.</summary>
    public bool IsValid { get; set; }

    /// <summary>The bounds that were counted between.</summary>
    public float Low { get; private set; }

    public float High { get; private set; }

    /// <summary>The counts, as many as were asked for last.</summary>
    public int[] Counts => counts;

    /// <summary>Counts and finds the extremes.</summary>
    /// <param name="data">The batch.</param>
    /// <param name="edges">About where the bins are; their ends are the bounds.</param>
    /// <param name="absolute">Whether absolute values are counted.</param>
    /// <param name="rule">The histogram's definition.</param>
    /// <param name="limits">The range that the batch must not leave for the counts to be of use.</param>
    public ValueRange Count<TRule>(ReadOnlySpan<float> data, in EvenEdges edges, bool absolute, TRule rule, ValueRange limits) where TRule : struct, IBinRule
    {
        if (counts.Length < edges.Bins)
            counts = new int[edges.Bins];
        (Low, High) = (edges.First, edges.Last);
        ValueRange range = EdgeCounter.CountWithin(data, counts.AsSpan(0, edges.Bins), edges, absolute, rule, limits);
        IsValid = range.Min >= limits.Min && range.Max <= limits.Max;
        return range;
    }

    /// <summary>Whether the batch was counted between these bounds; once.</summary>
    public bool Take(float low, float high)
    {
        bool valid = IsValid && Low == low && High == high;
        IsValid = false;
        return valid;
    }
}
