using QuantPS.Completion;
using QuantPS.Engine.Layers;

namespace QuantPS.Formatting;

/// <summary>Quantized layers as the views show them.</summary>
public static class LayerText
{
    /// <summary>How many times the tightest bias still fits into int32; "none" without bias.</summary>
    public static string SmallestHeadroom(QuantizedWeightLayer layer) => layer.Bias is null ? "none" : Text.Number(layer.BiasHeadroom.Min(), 2);

    /// <summary>"x86 -> fbgemm" where the engine hands the layer on.</summary>
    public static string Engine(QuantizedWeightLayer layer)
    {
        string asked = Spellings.PyTorch(layer.Engine), runs = Spellings.PyTorch(layer.EffectiveEngine);
        return asked == runs ? asked : $"{asked} -> {runs}";
    }
}
