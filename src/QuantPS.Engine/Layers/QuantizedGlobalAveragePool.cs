using QuantPS.Engine.Errors;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>Mean over all spatial positions of [N, C, spatial...], giving [N, C, 1...]: an exact int32 sum, then the mean in float32, quantized.</summary>
/// <remarks>Source of the meaning: ONNX GlobalAveragePool between DequantizeLinear and QuantizeLinear. ONNX Runtime makes QLinearGlobalAveragePool of it where both
/// have one type, which multiplies the sum once, with f32(s / (s_y * area)): that decides ties.</remarks>
/// <param name="input">Parameters of the input, 8 bits.</param>
/// <param name="output">Parameters of the result, 8 bits.</param>
/// <param name="onnxRule">As ONNX Runtime does it; else as PyTorch quantizes the mean.</param>
public sealed class QuantizedGlobalAveragePool(QParams input, QParams output, bool onnxRule = false)
{
    public QParams OutputQParams => output;

    /// <exception cref="QuantException">ShapeMismatch: fewer than three dimensions.</exception>
    public QuantizedTensor Run(QuantizedTensor x)
    {
        if (x.Rank < 3)
            throw new QuantException(ErrorIds.ShapeMismatch, $"Global average pooling needs [N, C, spatial...], but the input is [{TensorShape.Format(x.Dims)}].", x);
        int area = TensorShape.Count(x.Dims[2..]);
        int[] shape = x.Shape;
        Array.Fill(shape, 1, 2, shape.Length - 2);
        QuantizedTensor y = new(shape, ActivationPool.Allocate(TensorShape.Count(shape)), output) { Source = x.Source };
        bool isLast = x.TryGetChannelsLast(out Memory<byte> pixels);
        Run(isLast ? pixels : x.Memory, x.Dims[0], x.Dims[1], area, y.Memory, isLast ? KernelLayout.ChannelsLast : KernelLayout.Contiguous);
        return y;
    }

    /// <summary>The same on bytes in either layout.</summary>
    /// <param name="x">8-bit integers, [N, C, area] in the layout.</param>
    /// <param name="batch">N.</param>
    /// <param name="channels">C.</param>
    /// <param name="area">Pixels of an image.</param>
    /// <param name="y">Receives [N, C].</param>
    /// <param name="layout">Of the input.</param>
    public void Run(ReadOnlyMemory<byte> x, int batch, int channels, int area, Memory<byte> y, KernelLayout layout)
    {
        bool once = onnxRule && input.DType == output.DType;
        (float scale, float divisor, float step) = once ? (input.Scales[0] / (output.Scales[0] * area), 1f, 1f) : (input.Scales[0], area, output.Scales[0]);
        var quantize = new QuantizeRule(step, output.ZeroPoints[0], output.DType, onnxRule);
        GlobalAveragePoolKernel.Run(x, y, batch, channels,
            new GlobalAverageRule(scale, divisor, input.ZeroPoints[0], input.DType == QDType.QInt8, area, quantize), layout);
    }
}
