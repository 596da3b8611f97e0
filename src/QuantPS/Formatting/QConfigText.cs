using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;

namespace QuantPS.Formatting;

/// <summary>Configurations as the views show them.</summary>
public static class QConfigText
{
    /// <summary>"Histogram quint8 per_tensor_affine 0..127".</summary>
    public static string Observer(ObserverSpec spec) => $"{spec.Kind} {spec.DType.TorchName()} {spec.Scheme.TorchName()} {Range(spec)}";

    /// <summary>The integers that are used: the custom range, or the dtype's, halved by reduce_range.</summary>
    public static string Range(ObserverSpec spec) => spec.Range.ToString();
}
