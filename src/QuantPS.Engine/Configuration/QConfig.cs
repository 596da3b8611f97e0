using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;

namespace QuantPS.Engine.Configuration;

/// <summary>How a model is to be quantized: the engine, and an observer each for activations and weights. PyTorch's QConfig plus its
/// backend.</summary>
public sealed record QConfig
{
    public required string Name { get; init; }

    /// <summary>Whose arithmetic the quantized layers follow.</summary>
    public required EngineKind Backend { get; init; }

    public required ObserverSpec Activation { get; init; }

    public required ObserverSpec Weight { get; init; }

    /// <summary>Layers with observers of their own. The engine is the same for all. Kept in one order, the most specific pattern first, which
    /// wins.</summary>
    public ValueList<LayerOverride> Overrides
    {
        get;
        init => field = [.. value.Order(Comparer<LayerOverride>.Create((a, b) => LayerPattern.CompareSpecificity(a.Pattern, b.Pattern)))];
    } = [];

    /// <summary>Patterns of the layers that stay float.</summary>
    public ValueList<string> Exclude
    {
        get;
        init => field = [.. value.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
    } = [];

    /// <summary>Operators that have their input's parameters (MaxPool, Transpose, Reshape, ...) are quantized wherever they stand, not only behind a value
    /// that is quantized anyway: ONNX Runtime's ForceQuantizeNoInputCheck.</summary>
    public bool ForceQuantize { get; init; }

    /// <summary>The configuration of one layer: with the observers of the most specific pattern that its name matches.</summary>
    public QConfig For(string layer) => Overrides.FirstOrDefault(o => LayerPattern.Matches(o.Pattern, layer)) is LayerOverride found
        ? this with { Activation = found.Activation, Weight = found.Weight }
        : this;

    public override string ToString() => $"{Name}: activations {Activation}, weights {Weight}"
        + (Overrides.Count > 0 ? $", {Overrides.Count} overrides" : "") + (Exclude.Count > 0 ? $", without {Exclude}" : "")
        + (ForceQuantize ? ", force_quantize" : "");
}
