using QuantPS.Engine.Tensors;

namespace QuantPS.Onnx.Runtime;

/// <summary>What a run of an int8 plan gives.</summary>
public sealed class PlanResult
{
    internal PlanResult(IReadOnlyDictionary<string, Tensor> outputs, IReadOnlyDictionary<string, QuantizedTensor> integers,
        IReadOnlyDictionary<string, Tensor> captured)
    {
        Outputs = outputs;
        CapturedIntegers = integers;
        Captured = captured;
    }

    /// <summary>The graph's outputs, dequantized.</summary>
    public IReadOnlyDictionary<string, Tensor> Outputs { get; }

    /// <summary>Captured values that were computed as integers.</summary>
    public IReadOnlyDictionary<string, QuantizedTensor> CapturedIntegers { get; }

    /// <summary>Captured values as floats, dequantized where they were integers.</summary>
    public IReadOnlyDictionary<string, Tensor> Captured { get; }
}
