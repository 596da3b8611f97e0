using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;

namespace QuantPS.Engine.Configuration;

/// <summary>How a model is to be quantized: the engine, and an observer each for activations and weights. PyTorch's QConfig plus its backend.</summary>
public sealed record QConfig
{
    public required string Name { get; init; }

    /// <summary>Whose arithmetic the quantized layers follow.</summary>
    public required EngineKind Backend { get; init; }

    public required ObserverSpec Activation { get; init; }

    public required ObserverSpec Weight { get; init; }

    public override string ToString() => $"{Name}: activations {Activation}, weights {Weight}";
}
