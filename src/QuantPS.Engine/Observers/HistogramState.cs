using System.Numerics;

namespace QuantPS.Engine.Observers;

/// <summary>A range and how the values spread over it. Nothing seen: (+infinity, -infinity) and zeros. NaN seen: both ends NaN, for good.</summary>
internal sealed class HistogramState(int bins)
{
    private float[]? spare;

    public float Min { get; set; } = float.PositiveInfinity;

    public float Max { get; set; } = float.NegativeInfinity;

    /// <summary>float32 counts; fractions once a histogram was re-binned.</summary>
    public float[] Counts { get; set; } = new float[bins];

    /// <summary>An array for the counts to come, with anything in it: that of the batch before the last, so that nothing is allocated for a
    /// batch.</summary>
    public float[] TakeSpare()
    {
        float[] taken = spare ?? new float[Counts.Length];
        spare = null;
        return taken;
    }

    /// <summary>Replaces the counts; the old ones become the spare.</summary>
    public void Replace(float min, float max, float[] counts)
    {
        spare = Counts;
        (Min, Max, Counts) = (min, max, counts);
    }

    /// <summary>Adds counts between the same edges.</summary>
    public void Add(ReadOnlySpan<int> more)
    {
        Span<float> sums = Counts;
        int b = 0;
        for (; b <= sums.Length - Vector<float>.Count; b += Vector<float>.Count)
            (new Vector<float>(sums[b..]) + Vector.ConvertToSingle(new Vector<int>(more[b..]))).CopyTo(sums[b..]);
        for (; b < sums.Length; b++)
            sums[b] += more[b];
    }

    public bool IsEmpty => float.IsPositiveInfinity(Min) && float.IsNegativeInfinity(Max);

    public bool IsNaN => float.IsNaN(Min);

    public void SetNaN() => Min = Max = float.NaN;

    /// <summary>A fixed order, for sums that must not depend on the order of merging. Not a number comes first.</summary>
    public static int Compare(HistogramState a, HistogramState b)
    {
        int order = a.Min.CompareTo(b.Min);
        if (order == 0)
            order = a.Max.CompareTo(b.Max);
        return order != 0 ? order : a.Counts.AsSpan().SequenceCompareTo(b.Counts);
    }

    /// <summary>Becomes a copy of another one, in its own memory.</summary>
    public void CopyFrom(HistogramState other)
    {
        (Min, Max) = (other.Min, other.Max);
        other.Counts.CopyTo(Counts);
    }

    public HistogramState Copy() => new(0) { Min = Min, Max = Max, Counts = (float[])Counts.Clone() };
}
