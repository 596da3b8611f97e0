using System.Runtime.CompilerServices;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Numerics;

/// <summary>float32 to integers and back: the normative scalar rules.</summary>
public static class Quantizer
{
    /// <summary>PyTorch: q = clamp(rne(x * f32(1/scale)) + zp). Multiplies by the float32 reciprocal, rounds, then adds the zero point.</summary>
    /// <remarks>Source: aten/native/quantized/AffineQuantizerBase.cpp quantize_val. NaN gives <paramref name="min"/>; what is too big or small
    /// saturates (the kernels of PyTorch disagree among themselves there, see <see cref="QuantizeCompat"/>).</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int QuantizeTorch(float x, float inverseScale, int zeroPoint, int min, int max)
    {
        float r = Rounding.HalfToEven(x * inverseScale) + zeroPoint;
        if (!(r > min))
            return min;
        return r >= max ? max : (int)r;
    }

    /// <summary>ONNX QuantizeLinear: q = saturate(rne(x / scale) + zp). Divides.</summary>
    /// <remarks>Source: onnx docs/Operators.md, QuantizeLinear; ONNX Runtime core/mlas/lib/quantize.cpp. NaN gives <paramref name="min"/>.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int QuantizeOnnx(float x, float scale, int zeroPoint, int min, int max)
    {
        float r = Rounding.HalfToEven(x / scale) + zeroPoint;
        if (!(r > min))
            return min;
        return r >= max ? max : (int)r;
    }

    /// <summary>PyTorch's rule for float zero points (per_channel_affine_float_qparams): q = clamp(rne(x * f32(1/scale) + zp)). Rounds after the addition.</summary>
    /// <remarks>Source: aten/native/quantized/AffineQuantizerBase.cpp quantize_val_float_qparams. NaN gives <paramref name="min"/>.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int QuantizeTorch(float x, float inverseScale, float zeroPoint, int min, int max) => Rounding.Saturate(x * inverseScale + zeroPoint, min, max);

    /// <summary>scale * (q - zp), one float32 multiplication. The difference is exact for 8 bits; for qint32 it is rounded to float32 once.</summary>
    /// <remarks>Source: AffineQuantizerBase.cpp dequantize_val; the per-channel kernel multiplies in double and rounds once, which is the same for float32 scales.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Dequantize(int q, float scale, int zeroPoint) => scale * (float)((long)q - zeroPoint);

    /// <summary>(q - zp) * scale for float zero points; the difference is a float32 difference.</summary>
    /// <remarks>Source: QuantizedOpKernels.cpp dequantize_per_channel_affine_float_qparams kernel.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Dequantize(int q, float scale, float zeroPoint) => (q - zeroPoint) * scale;

    /// <summary>Quantizes a tensor by the rule of the profile's family: torch multiplies by the reciprocal, ONNX divides.</summary>
    /// <param name="tensor">float32, any shape.</param>
    /// <param name="qparams">Per tensor, or per channel along its axis.</param>
    /// <param name="onnxRule">True for ONNX's division.</param>
    /// <exception cref="QuantException">ShapeMismatch: the number of scales is not the number of channels. UnsupportedScheme: float zero points, which
    /// ONNX does not have.</exception>
    public static QuantizedTensor Quantize(Tensor tensor, QParams qparams, bool onnxRule = false)
    {
        qparams.CheckFits(tensor.Dims);
        Memory<byte> bytes = new AlignedBuffer<byte>(checked((int)qparams.DType.ByteCount(tensor.Length))).Memory;
        QuantizedTensor result = new(tensor.Shape, bytes, qparams) { Source = tensor.Source, Name = tensor.Name };
        ReadOnlySpan<float> x = tensor.Span;
        if (!qparams.IsPerChannel)
        {
            QuantizeSlice(x, result, 0, qparams.Scales[0], qparams.ZeroPoints[0], onnxRule);
            return result;
        }
        if (onnxRule && qparams.HasFloatZeroPoints)
            throw new QuantException(ErrorIds.UnsupportedScheme, "ONNX has no float zero points. Use per_channel_affine or per_channel_symmetric.", tensor);
        (int outer, int channels, int inner) = TensorShape.Split(tensor.Dims, qparams.Axis);
        for (int o = 0; o < outer; o++)
        {
            for (int c = 0; c < channels; c++)
            {
                int start = (o * channels + c) * inner;
                if (qparams.HasFloatZeroPoints)
                {
                    QuantizeFloatZeroPoint(x.Slice(start, inner), result, start, 1f / qparams.Scales[c], qparams.FloatZeroPoints[c]);
                    continue;
                }
                QuantizeSlice(x.Slice(start, inner), result, start, qparams.Scales[c], qparams.ZeroPoints[c], onnxRule);
            }
        }
        return result;
    }

    private static void QuantizeSlice(ReadOnlySpan<float> x, QuantizedTensor result, int start, float scale, int zeroPoint, bool onnxRule)
    {
        (int min, int max) = result.DType.Range();
        float inverse = 1f / scale;
        if (!result.DType.IsEightBit())
        {
            for (int i = 0; i < x.Length; i++)
                result.SetInteger(start + i, onnxRule ? QuantizeOnnx(x[i], scale, zeroPoint, min, max) : QuantizeTorch(x[i], inverse, zeroPoint, min, max));
            return;
        }
        Span<byte> b = result.Bytes.Slice(start, x.Length);
        if (onnxRule)
        {
            for (int i = 0; i < x.Length; i++)
                b[i] = unchecked((byte)QuantizeOnnx(x[i], scale, zeroPoint, min, max));
        }
        else
        {
            for (int i = 0; i < x.Length; i++)
                b[i] = unchecked((byte)QuantizeTorch(x[i], inverse, zeroPoint, min, max));
        }
    }

    private static void QuantizeFloatZeroPoint(ReadOnlySpan<float> x, QuantizedTensor result, int start, float inverse, float zeroPoint)
    {
        (int min, int max) = result.DType.Range();
        for (int i = 0; i < x.Length; i++)
            result.SetInteger(start + i, QuantizeTorch(x[i], inverse, zeroPoint, min, max));
    }

    /// <summary>Integers back to float32.</summary>
    public static Tensor Dequantize(QuantizedTensor tensor)
    {
        Tensor result = new(tensor.Shape, new AlignedBuffer<float>(tensor.Length).Memory) { Source = tensor.Source, Name = tensor.Name };
        Span<float> y = result.Span;
        QParams p = tensor.QParams;
        (int outer, int channels, int inner) = p.IsPerChannel ? TensorShape.Split(tensor.Dims, p.Axis) : (1, 1, tensor.Length);
        for (int o = 0; o < outer; o++)
        {
            for (int c = 0; c < channels; c++)
            {
                int start = (o * channels + c) * inner;
                float scale = p.Scales[c];
                if (p.HasFloatZeroPoints)
                {
                    for (int i = start; i < start + inner; i++)
                        y[i] = Dequantize(tensor.GetInteger(i), scale, p.FloatZeroPoints[c]);
                    continue;
                }
                int zeroPoint = p.ZeroPoints[c];
                for (int i = start; i < start + inner; i++)
                    y[i] = Dequantize(tensor.GetInteger(i), scale, zeroPoint);
            }
        }
        return result;
    }
}
