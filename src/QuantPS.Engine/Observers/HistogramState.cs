namespace QuantPS.Engine.Observers;

/// <summary>A range and how the values spread over it. Nothing seen: (+infinity, -infinity) and zeros. NaN seen: both ends NaN, for good.</summary>
internal sealed class HistogramState(int bins)
{
    public float Min { get; set; } = float.PositiveInfinity;

    public float Max { get; set; } = float.NegativeInfinity;

    /// <summary>float32 counts; fractions once a histogram was re-binned.</summary>
    public float[] Counts { get; set; } = new float[bins];

    public bool IsEmpty => float.IsPositiveInfinity(Min) && float.IsNegativeInfinity(Max);

    public bool IsNaN => float.IsNaN(Min);

    public void SetNaN() => Min = Max = float.NaN;

    public HistogramState Copy() => new(0) { Min = Min, Max = Max, Counts = (float[])Counts.Clone() };
}
