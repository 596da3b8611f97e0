namespace QuantPS.Engine.Observers;

/// <summary>Edges of bins that are all but evenly spaced: how to guess a value's bin, and how far off the guess may be.</summary>
internal readonly struct EvenEdges
{
    /// <summary>Equal bins between two ends whose distance is finite.</summary>
    public EvenEdges(float first, float last, int bins) : this(first, last, bins, bins / (double)(last - first), 0)
    {
    }

    private EvenEdges(float first, float last, int bins, double perUnit, double off)
    {
        (First, Last, Bins, PerUnit) = (first, last, bins, (float)perUnit);
        // The guess is three float32 operations on numbers up to the number of bins; a rule in float32 has as many.
        Doubt = (float)(off + bins * 2.5e-7 + 1e-6);
        IsUsable = Doubt < 0.25f && bins < 1 << 22 && PerUnit >= 1e-37f && float.IsFinite(PerUnit);
    }

    public float First { get; }

    public float Last { get; }

    public int Bins { get; }

    /// <summary>Bins per unit of the values.</summary>
    public float PerUnit { get; }

    /// <summary>The part of a bin at each of its ends where the guess does not decide.</summary>
    public float Doubt { get; }

    /// <summary>False for edges without a width, too many, or too uneven: then only the rule decides.</summary>
    public bool IsUsable { get; }

    /// <summary>Edges as they are, ascending.</summary>
    public static EvenEdges Of(ReadOnlySpan<float> edges)
    {
        int bins = edges.Length - 1;
        double first = edges[0], perUnit = bins / (edges[^1] - first), off = 0;
        for (int k = 0; k < edges.Length; k++)
            off = Math.Max(off, Math.Abs((edges[k] - first) * perUnit - k));
        return new EvenEdges(edges[0], edges[^1], bins, perUnit, off);
    }
}
