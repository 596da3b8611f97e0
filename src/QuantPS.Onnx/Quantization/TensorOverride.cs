using QuantPS.Engine.Configuration;
using QuantPS.Engine.Numerics;

namespace QuantPS.Onnx.Quantization;

/// <summary>How one tensor is quantized, whatever was observed: quantize_static's TensorQuantOverrides. What is null stays as it
/// is.</summary>
public sealed record TensorOverride
{
    /// <summary>Integer type (quant_type).</summary>
    public QDType? DType { get; init; }

    /// <summary>Zero point in the middle (symmetric).</summary>
    public bool? Symmetric { get; init; }

    /// <summary>One bit less; weights only (reduce_range).</summary>
    public bool? ReduceRange { get; init; }

    /// <summary>The channels' dimension; weights only (axis).</summary>
    public int? Axis { get; init; }

    /// <summary>One scale, or one per channel (scale); with as many zero points.</summary>
    public ValueList<float>? Scale { get; init; }

    /// <summary>One zero point, or one per channel (zero_point).</summary>
    public ValueList<int>? ZeroPoint { get; init; }

    /// <summary>Smallest value, or one per channel (rmin); with as many largest ones.</summary>
    public ValueList<float>? Min { get; init; }

    /// <summary>Largest value, or one per channel (rmax).</summary>
    public ValueList<float>? Max { get; init; }

    /// <summary>A second form for consumers: activations only (convert).</summary>
    public TensorOverride? Convert { get; init; }

    /// <summary>The nodes that get the second form; all when empty (recv_nodes).</summary>
    public ValueList<string> ConvertFor { get; init; } = [];
}
