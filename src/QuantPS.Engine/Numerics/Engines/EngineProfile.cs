using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics.Requantization;

namespace QuantPS.Engine.Numerics.Engines;

/// <summary>What an engine needs to know of a layer to choose its arithmetic.</summary>
/// <param name="Name">How messages call the layer: "Layer 'conv1'".</param>
/// <param name="IsConv">A convolution; false for a linear layer.</param>
/// <param name="Groups">Groups of the convolution, 1 for linear.</param>
/// <param name="Weight">The weight's parameters.</param>
/// <param name="HasOutputPadding">A transposed convolution with output padding.</param>
public readonly record struct LayerFacts(string Name, bool IsConv, int Groups, QParams Weight, bool HasOutputPadding = false);

/// <summary>One engine's rules: which weights it takes, what becomes of the bias, how accumulators are requantized.</summary>
public abstract class EngineProfile
{
    public abstract EngineKind Kind { get; }

    /// <summary>True where floats are quantized by dividing (ONNX) rather than by multiplying with the float32 reciprocal (PyTorch).</summary>
    public virtual bool QuantizesByDivision => false;

    /// <summary>The profile that really does the work for this layer; only x86 hands over.</summary>
    public virtual EngineProfile Resolve(LayerFacts layer, TorchVersion version) => this;

    /// <summary>Throws where the real engine refuses the weight.</summary>
    /// <exception cref="QuantException">AsymmetricWeightRefused.</exception>
    public virtual void CheckWeight(LayerFacts layer)
    {
    }

    /// <summary>The formula for one layer.</summary>
    public abstract Requantizer CreateRequantizer(RequantizationSpec spec);
}
