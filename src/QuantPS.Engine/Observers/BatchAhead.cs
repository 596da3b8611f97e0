namespace QuantPS.Engine.Observers;

/// <summary>A batch counted while its extremes were looked for, on the guess that it brings nothing beyond the range seen so far.</summary>
internal sealed class BatchAhead
{
    private int[] counts = [];

    /// <summary>Whether the guess was right.</summary>
    public bool IsValid { get; private set; }

    /// <summary>The counts, as many as there are bins, and more.</summary>
    public ReadOnlySpan<int> Counts => counts;

    /// <summary>Counts and finds the extremes.</summary>
    /// <param name="data">The batch.</param>
    /// <param name="edges">About where the bins are; their ends are the bounds.</param>
    /// <param name="absolute">Whether absolute values are counted.</param>
    /// <param name="rule">The histogram's definition.</param>
    /// <param name="limits">The range that the batch must not leave for the counts to be of use.</param>
    /// <param name="threads">Who may help.</param>
    public ValueRange Count<TRule>(ReadOnlySpan<float> data, in EvenEdges edges, bool absolute, TRule rule, ValueRange limits, IWorkSharing? threads)
        where TRule : struct, IBinRule
    {
        if (counts.Length <= edges.Bins)
            counts = new int[edges.Bins + edges.Bins / 2 + 1];
        ValueRange range = EdgeCounter.Count(data, counts, edges, absolute, rule, threads);
        IsValid = range.Min >= limits.Min && range.Max <= limits.Max;
        return range;
    }

    /// <summary>There is no such batch.</summary>
    public void Clear() => IsValid = false;
}
