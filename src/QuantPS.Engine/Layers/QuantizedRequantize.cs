using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>A quantized tensor under other parameters: dequantize, quantize. What PyTorch does for x.dequantize() followed by quantize_per_tensor or quantize_per_channel.</summary>
/// <remarks>Source: <see cref="Quantizer"/>; any dtype and scheme on both sides.</remarks>
public sealed class QuantizedRequantize(QParams output, bool onnxRule = false)
{
    public QParams OutputQParams => output;

    /// <exception cref="Errors.QuantException">ShapeMismatch: the output's scales do not fit the shape.</exception>
    public QuantizedTensor Run(QuantizedTensor x) => Quantizer.Quantize(Quantizer.Dequantize(x), output, onnxRule);
}
