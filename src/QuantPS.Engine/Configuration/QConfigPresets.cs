using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;

namespace QuantPS.Engine.Configuration;

/// <summary>Every preset: PyTorch's get_default_qconfig(backend), its named qconfigs, and ONNX Runtime's defaults.</summary>
/// <remarks>Source: torch/ao/quantization/qconfig.py; onnxruntime/python/tools/quantization quantize_static (MinMax, signed symmetric
/// weights): "onnxruntime" with
/// unsigned activations, "onnxruntime_s8s8" with signed ones. PyTorch's named qconfigs leave the engine to a global; here default_qconfig has
/// x86. The
/// symmetric qnnpack ones are made for XNNPACK's int8 kernels, whose arithmetic this module does not have; they run with QNNPACK's.</remarks>
public static class QConfigPresets
{
    private static readonly ObserverSpec Histogram = new() { Kind = ObserverKind.Histogram };
    private static readonly ObserverSpec PerTensorWeight = ObserverPresets.Weight;
    private static readonly ObserverSpec PerChannelWeight = ObserverPresets.PerChannelWeight;

    private static readonly Dictionary<string, QConfig> Presets = new(StringComparer.OrdinalIgnoreCase)
    {
        ["x86"] = new() { Name = "x86", Backend = EngineKind.X86, Activation = Histogram with { ReduceRange = true }, Weight = PerChannelWeight },
        ["fbgemm"] = new() { Name = "fbgemm", Backend = EngineKind.Fbgemm, Activation = Histogram with { ReduceRange = true }, Weight = PerChannelWeight },
        ["onednn"] = new() { Name = "onednn", Backend = EngineKind.OneDnn, Activation = Histogram, Weight = PerChannelWeight },
        ["qnnpack"] = new() { Name = "qnnpack", Backend = EngineKind.Qnnpack, Activation = Histogram, Weight = PerTensorWeight },
        ["onnxruntime"] = new() { Name = "onnxruntime", Backend = EngineKind.OnnxRuntime, Activation = new() { Kind = ObserverKind.MinMax }, Weight = PerTensorWeight },
        ["onnxruntime_s8s8"] = new()
        {
            Name = "onnxruntime_s8s8",
            Backend = EngineKind.OnnxRuntime,
            Activation = new() { Kind = ObserverKind.OrtMinMax, DType = QDType.QInt8 },
            Weight = PerTensorWeight,
        },
        ["default_qconfig"] = new() { Name = "default_qconfig", Backend = EngineKind.X86, Activation = ObserverPresets.Default, Weight = PerTensorWeight },
        ["default_per_channel_qconfig"] = new()
        {
            Name = "default_per_channel_qconfig",
            Backend = EngineKind.X86,
            Activation = ObserverPresets.Default,
            Weight = PerChannelWeight,
        },
        ["default_symmetric_qnnpack_qconfig"] = new()
        {
            Name = "default_symmetric_qnnpack_qconfig",
            Backend = EngineKind.Qnnpack,
            Activation = ObserverPresets.XnnpackActivation,
            Weight = ObserverPresets.WeightRangeNeg127To127,
        },
        ["default_per_channel_symmetric_qnnpack_qconfig"] = new()
        {
            Name = "default_per_channel_symmetric_qnnpack_qconfig",
            Backend = EngineKind.Qnnpack,
            Activation = ObserverPresets.XnnpackActivation,
            Weight = ObserverPresets.PerChannelWeightRangeNeg127To127,
        },
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
