using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;

namespace QuantPS.Engine.Configuration;

/// <summary>Every preset, a line each: PyTorch's get_default_qconfig(backend) and ONNX Runtime's defaults.</summary>
/// <remarks>Source: torch/ao/quantization/qconfig.py get_default_qconfig; onnxruntime quantization defaults (MinMax, signed symmetric weights).</remarks>
public static class QConfigPresets
{
    private static readonly ObserverSpec Histogram = new() { Kind = ObserverKind.Histogram };
    private static readonly ObserverSpec PerTensorWeight = new() { Kind = ObserverKind.MinMax, DType = QDType.QInt8, Scheme = QScheme.PerTensorSymmetric };
    private static readonly ObserverSpec PerChannelWeight = new() { Kind = ObserverKind.PerChannelMinMax, DType = QDType.QInt8, Scheme = QScheme.PerChannelSymmetric };

    private static readonly Dictionary<string, QConfig> Presets = new(StringComparer.OrdinalIgnoreCase)
    {
        ["x86"] = new() { Name = "x86", Backend = EngineKind.X86, Activation = Histogram with { ReduceRange = true }, Weight = PerChannelWeight },
        ["fbgemm"] = new() { Name = "fbgemm", Backend = EngineKind.Fbgemm, Activation = Histogram with { ReduceRange = true }, Weight = PerChannelWeight },
        ["onednn"] = new() { Name = "onednn", Backend = EngineKind.OneDnn, Activation = Histogram, Weight = PerChannelWeight },
        ["qnnpack"] = new() { Name = "qnnpack", Backend = EngineKind.Qnnpack, Activation = Histogram, Weight = PerTensorWeight },
        ["onnxruntime"] = new() { Name = "onnxruntime", Backend = EngineKind.OnnxRuntime, Activation = new() { Kind = ObserverKind.MinMax }, Weight = PerTensorWeight },
    };

    /// <summary>The names, in the order of the registry.</summary>
    public static IReadOnlyCollection<string> Names => Presets.Keys;

    /// <summary>The default backend: x86, as in PyTorch 2.</summary>
    public static QConfig Default => Presets["x86"];

    /// <summary>A preset by name (case does not matter).</summary>
    /// <exception cref="QuantException">UnknownQConfig.</exception>
    public static QConfig Get(string name) => Presets.TryGetValue(name, out QConfig? preset)
        ? preset
        : throw new QuantException(ErrorIds.UnknownQConfig, $"There is no preset '{name}'. Known: {string.Join(", ", Presets.Keys)}.", name);
}
