namespace QuantPS.Engine.Observers;

/// <summary>Smallest and largest element of a tensor: both NaN if there is one, (+infinity, -infinity) when empty; a zero is +0.</summary>
public readonly record struct ValueRange(float Min, float Max)
{
    /// <summary>Elements that are worth a thread of their own.</summary>
    internal const int LeastPart = 65536;

    /// <summary>That of no elements.</summary>
    public static ValueRange Empty => new(float.PositiveInfinity, float.NegativeInfinity);

    /// <summary>False when an element is NaN or infinite.</summary>
    public bool IsFinite => float.IsFinite(Min) && float.IsFinite(Max);

    /// <summary>One pass over the elements.</summary>
    /// <param name="data">The elements.</param>
    /// <param name="threads">Who may help.</param>
    public static unsafe ValueRange Of(ReadOnlySpan<float> data, IWorkSharing? threads = null)
    {
        int parts = threads is null ? 1 : Math.Clamp(data.Length / LeastPart, 1, threads.Threads);
        if (parts == 1)
        {
            (float min, float max) = MinMaxScan.Scan(data);
            return new(min, max);
        }
        ValueRange[] ranges = new ValueRange[parts];
        fixed (float* x = data)
        {
            nint start = (nint)x;
            int length = data.Length;
            threads!.Run(parts, p =>
            {
                int from = (int)((long)length * p / parts), to = (int)((long)length * (p + 1) / parts);
                ranges[p] = Of(new ReadOnlySpan<float>((float*)start + from, to - from));
            });
        }
        return Union(ranges);
    }

    /// <summary>The range of all the elements of several.</summary>
    internal static ValueRange Union(ReadOnlySpan<ValueRange> ranges)
    {
        (float min, float max) = Empty;
        foreach (ValueRange r in ranges)
            (min, max) = (MathF.Min(min, r.Min), MathF.Max(max, r.Max));
        return new(min, max);
    }
}
