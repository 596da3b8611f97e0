using System.Numerics;

namespace QuantPS.Engine.Observers;

/// <summary>Edges of bins that are all but evenly spaced: how to guess a value's bin, and how far off the guess may be.</summary>
internal readonly struct EvenEdges
{
    private const int MostClearBits = 12;

    /// <summary>Equal bins between two ends whose distance is finite.</summary>
    public EvenEdges(float first, float last, int bins) : this(first, last, bins, bins, bins / (double)(last - first), 0, BitOperations.IsPow2(bins) ? 3 : 4)
    {
    }

    // The guess rounds the bins per unit and the product, each to half a unit in the last place (2^-24 = 5.96e-8) of numbers up to that of bins; a rule in float32
    // rounds the quotient, and a product with the number of bins where that is no power of two. Both subtract the first edge alike.
    private EvenEdges(float first, float last, int bins, int even, double perUnit, double off, int roundings)
    {
        (First, Last, Bins, Even, PerUnit) = (first, last, bins, even, (float)perUnit);
        Doubt = (float)(off + even * roundings * 6e-8 + 1e-6);
        ClearBits = Math.Min(MostClearBits, (int)Math.Floor(Math.Log2(0.5 / Doubt)));
        IsUsable = Doubt < 0.25f && bins < 1 << 22 && PerUnit >= 1e-37f && float.IsFinite(PerUnit * (1 << MostClearBits));
    }

    public float First { get; }

    public float Last { get; }

    public int Bins { get; }

    /// <summary>How many of the bins, from the first one on, are evenly spaced: the guess is for these.</summary>
    public int Even { get; }

    /// <summary>Bins per unit of the values.</summary>
    public float PerUnit { get; }

    /// <summary>The part of a bin at each of its ends where the guess does not decide.</summary>
    public float Doubt { get; }

    /// <summary>Bits behind the point of a position for which half a unit of the last one is no less than the doubt.</summary>
    public int ClearBits { get; }

    /// <summary>False for edges without a width, too many, or too uneven: then only the rule decides.</summary>
    public bool IsUsable { get; }

    /// <summary>Edges as they are, ascending.</summary>
    /// <param name="edges">One more than there are bins.</param>
    /// <param name="even">Bins at the beginning that are more evenly spaced than those that came behind them later.</param>
    public static EvenEdges Of(ReadOnlySpan<float> edges, int even)
    {
        int bins = edges.Length - 1;
        double first = edges[0], perUnit = even / (edges[even] - first), off = 0;
        for (int k = 0; k <= even; k++)
            off = Math.Max(off, Math.Abs((edges[k] - first) * perUnit - k));
        return new EvenEdges(edges[0], edges[^1], bins, even, perUnit, off, 4);
    }
}
