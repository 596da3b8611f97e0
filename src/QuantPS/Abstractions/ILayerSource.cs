using QuantPS.Engine.Layers;

namespace QuantPS.Abstractions;

/// <summary>Something that holds quantized layers: a model, or one row of Get-QLayer.</summary>
public interface ILayerSource
{
    /// <summary>For messages.</summary>
    string Name { get; }

    /// <summary>The layers it holds.</summary>
    IReadOnlyList<QuantizedWeightLayer> QuantizedLayers { get; }
}
