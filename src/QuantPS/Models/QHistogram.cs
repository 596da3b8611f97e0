using QuantPS.Engine.Observers;
using QuantPS.Formatting;

namespace QuantPS.Models;

/// <summary>How the observed values of a tensor spread, and the range that is quantized.</summary>
public sealed class QHistogram
{
    internal QHistogram(string model, string name, Observer observer)
    {
        Model = model;
        Name = name;
        Observer = observer.Spec.Kind;
        Min = observer.MinValues[0];
        Max = observer.MaxValues[0];
        Counts = observer.Histogram.ToArray();
        BinEdges = observer.BinEdges.ToArray();
        (float[] low, float[] high) = observer.SelectRange();
        (RangeMin, RangeMax) = (low[0], high[0]);
    }

    /// <summary>Name of the model.</summary>
    public string Model { get; }

    /// <summary>Name of the tensor in the graph.</summary>
    public string Name { get; }

    /// <summary>The observer that saw it.</summary>
    public ObserverKind Observer { get; }

    /// <summary>Smallest value seen.</summary>
    public float Min { get; }

    /// <summary>Largest value seen.</summary>
    public float Max { get; }

    /// <summary>Lower end of the range that the observer chose to quantize; what lies below is clipped.</summary>
    public float RangeMin { get; }

    /// <summary>Upper end of the chosen range.</summary>
    public float RangeMax { get; }

    /// <summary>Edges of the bins, one more than there are counts.</summary>
    public float[] BinEdges { get; }

    /// <summary>Values in each bin; fractions where a histogram was re-binned to a wider range.</summary>
    public float[] Counts { get; }

    /// <summary>Number of bins.</summary>
    public int Bins => Counts.Length;

    /// <summary>Number of values in the bins.</summary>
    public double Total => Counts.Sum(c => (double)c);

    /// <summary>The spread as a line of bars.</summary>
    public string Sparkline => Text.Sparkline(Counts, 32);

    /// <inheritdoc/>
    public override string ToString() => $"{Name} {Sparkline}";
}
