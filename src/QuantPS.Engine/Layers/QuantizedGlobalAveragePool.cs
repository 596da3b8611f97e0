using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>Mean over all spatial positions of [N, C, spatial...], giving [N, C, 1...]: an exact int32 sum, then the mean in float32, quantized.</summary>
/// <remarks>Source of the meaning: ONNX GlobalAveragePool between DequantizeLinear and QuantizeLinear.</remarks>
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
        QuantizedTensor y = new(shape, new AlignedBuffer<byte>(TensorShape.Count(shape)).Memory, output) { Source = x.Source };
        ReadOnlySpan<byte> from = x.Bytes;
        (int low, int high) = output.DType.Range();
        float scale = output.Scales[0];
        bool signed = input.DType == QDType.QInt8;
        for (int plane = 0; plane < y.Length; plane++)
        {
            int sum = -area * input.ZeroPoints[0];
            foreach (byte b in from.Slice(plane * area, area))
                sum += signed ? (sbyte)b : b;
            float mean = sum * input.Scales[0] / area;
            y.Bytes[plane] = unchecked((byte)(onnxRule
                ? Quantizer.QuantizeOnnx(mean, scale, output.ZeroPoints[0], low, high)
                : Quantizer.QuantizeTorch(mean, 1f / scale, output.ZeroPoints[0], low, high)));
        }
        return y;
    }
}
