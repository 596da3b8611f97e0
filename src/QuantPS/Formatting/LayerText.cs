using QuantPS.Completion;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Formatting;

/// <summary>Quantized layers as the views show them.</summary>
public static class LayerText
{
    /// <summary>"per channel qint8".</summary>
    public static string Weight(QuantizedTensor weight) => $"{(weight.QParams.IsPerChannel ? "per channel" : "per tensor")} {weight.DType.TorchName()}";

    /// <summary>"0.0117 zp 41"; "float" without parameters.</summary>
    public static string QParams(QParams? qparams) => qparams is null ? "float" : $"{Text.Number(qparams.Scales[0])} zp {qparams.ZeroPoints[0]}";

    /// <summary>How many times the tightest bias still fits into int32; "none" without bias.</summary>
    public static string SmallestHeadroom(QuantizedWeightLayer layer) => layer.Bias is null ? "none" : Text.Number(layer.BiasHeadroom.Min(), 2);

    /// <summary>"x86 -> fbgemm" where the engine hands the layer on.</summary>
    public static string Engine(QuantizedWeightLayer layer)
    {
        string asked = Spellings.PyTorch(layer.Engine), runs = Spellings.PyTorch(layer.EffectiveEngine);
        return asked == runs ? asked : $"{asked} -> {runs}";
    }
}
