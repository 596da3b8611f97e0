namespace QuantPS.Engine.Observers;

/// <summary>Smallest and largest element of a tensor: both NaN if there is one, (+infinity, -infinity) when empty; a zero is +0.</summary>
public readonly record struct ValueRange(float Min, float Max)
{
    /// <summary>False when an element is NaN or infinite.</summary>
    public bool IsFinite => float.IsFinite(Min) && float.IsFinite(Max);

    /// <summary>One pass over the elements.</summary>
    public static ValueRange Of(ReadOnlySpan<float> data)
    {
        (float min, float max) = MinMaxScan.Scan(data);
        return new(min, max);
    }
}
