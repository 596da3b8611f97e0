using QuantPS.Engine.Observers;

namespace QuantPS.Engine.Configuration;

/// <summary>Observers of their own for the layers whose names match a pattern (<see cref="LayerPattern"/>).</summary>
/// <param name="Pattern">Against the layer's name.</param>
/// <param name="Activation">Observer of the layer's output.</param>
/// <param name="Weight">Observer of the layer's weight.</param>
public sealed record LayerOverride(string Pattern, ObserverSpec Activation, ObserverSpec Weight)
{
    public override string ToString() => $"{Pattern}: activations {Activation}, weights {Weight}";
}
