namespace QuantPS.Engine.Observers;

/// <summary>The definition of a histogram: which bin a value belongs to.</summary>
internal interface IBinRule
{
    /// <summary>The bin, or -1 for what is not counted: values outside the edges, NaN.</summary>
    int BinOf(float value);
}
