using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Layers;

/// <summary>What a quantized layer can be told beside its numbers.</summary>
public sealed record LayerOptions
{
    /// <summary>For messages and views.</summary>
    public string Name { get; init; } = "";

    /// <summary>A fused ReLU: outputs are clamped at the zero point.</summary>
    public bool Relu { get; init; }

    /// <summary>A fused ReLU6: outputs are clamped at the zero point and at the integer of 6. The same as ReLU6 on the quantized result.</summary>
    public bool Relu6 { get; init; }

    /// <summary>A fused Clip: the smallest and the largest output integer; null for the dtype's own. The same as limiting the result.</summary>
    public (int Low, int High)? Limits { get; init; }

    /// <summary>Reproduce the engine's own defects (FBGEMM's depthwise int16 saturation, QNNPACK's bias through a float).</summary>
    public bool Compat { get; init; }

    /// <summary>Whose PyTorch: it decides between oneDNN 3 and 2.6.</summary>
    public TorchVersion TorchVersion { get; init; } = TorchVersion.V2;
}
