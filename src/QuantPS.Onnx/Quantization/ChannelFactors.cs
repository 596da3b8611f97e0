namespace QuantPS.Onnx.Quantization;

/// <summary>What equalization does to a calibrated model: the same factors make the same model.</summary>
/// <param name="sites">Values that are scaled where a function makes or takes them, with a factor per channel.</param>
/// <param name="folded">Values that are scaled in the weights around them.</param>
/// <param name="observedElements">How much the factors were made of: a calibration may go on.</param>
internal sealed class ChannelFactors(IReadOnlyList<(string Value, float[] Factors)> sites, IReadOnlyDictionary<string, float[]> folded, long observedElements)
{
    private readonly IReadOnlyList<(string Value, float[] Factors)> sites = sites;
    private readonly IReadOnlyDictionary<string, float[]> folded = folded;
    private readonly long observedElements = observedElements;

    public bool IsSameAs(ChannelFactors other) => observedElements == other.observedElements && sites.Count == other.sites.Count && folded.Count == other.folded.Count
        && sites.Zip(other.sites).All(s => s.First.Value == s.Second.Value && s.First.Factors.AsSpan().SequenceEqual(s.Second.Factors))
        && folded.All(f => other.folded.TryGetValue(f.Key, out float[]? factors) && factors.AsSpan().SequenceEqual(f.Value));
}
