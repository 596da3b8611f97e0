using Microsoft.ML.OnnxRuntime;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using Tensor = QuantPS.Engine.Tensors.Tensor;

namespace QuantPS.Onnx.Runtime;

/// <summary>A value while a plan runs: integers, floats, or both once somebody asked; or a value of ONNX Runtime that is neither (shapes, masks).</summary>
internal sealed class GraphValue : IDisposable
{
    private Tensor? real;
    private QuantizedTensor? integers;

    public GraphValue(Tensor tensor) => real = tensor;

    public GraphValue(QuantizedTensor tensor) => integers = tensor;

    public GraphValue(OrtValue value) => Native = value;

    /// <summary>A value that only float islands understand; null otherwise.</summary>
    public OrtValue? Native { get; }

    /// <summary>True once it exists as integers.</summary>
    public bool HasIntegers => integers is not null;

    /// <summary>The integers; quantized with the value's parameters when it came as float.</summary>
    public QuantizedTensor Integers(QParams qparams, bool onnxRule) => integers ??= Quantizer.Quantize(real!, qparams, onnxRule);

    /// <summary>The floats; dequantized when it came as integers.</summary>
    public Tensor Real() => real ??= integers!.Dequantize();

    public void Dispose() => Native?.Dispose();
}
