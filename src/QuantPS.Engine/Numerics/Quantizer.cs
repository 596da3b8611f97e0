using System.Runtime.CompilerServices;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Kernels;
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
    public static QuantizedTensor Quantize(Tensor tensor, QParams qparams, bool onnxRule = false) => Quantize(tensor, qparams, onnxRule, QuantizeCompat.None);

    internal static QuantizedTensor Quantize(Tensor tensor, QParams qparams, bool onnxRule, QuantizeCompat compat)
    {
        qparams.CheckFits(tensor.Dims);
        Memory<byte> bytes = ActivationPool.Allocate(checked((int)qparams.DType.ByteCount(tensor.Length)));
        QuantizedTensor result = new(tensor.Shape, bytes, qparams) { Source = tensor.Source, Name = tensor.Name };
        if (onnxRule && qparams.HasFloatZeroPoints)
            throw new QuantException(ErrorIds.UnsupportedScheme, "ONNX has no float zero points. Use per_channel_affine or per_channel_symmetric.", tensor);
        (int outer, int channels, int inner) = qparams.IsPerChannel ? TensorShape.Split(tensor.Dims, qparams.Axis) : (1, 1, tensor.Length);
        if (qparams.HasFloatZeroPoints || qparams.DType.Bits() < 8)
        {
            for (int block = 0; block < outer * channels; block++)
                QuantizeBlock(tensor.Span, result, block % channels, block * inner, inner, onnxRule, compat);
        }
        else if (qparams.IsPerChannel)
        {
            QuantizeKernel.Run(tensor.Memory, bytes, qparams, channels, inner, onnxRule, compat);
        }
        else
        {
            QuantizeKernel.Run(tensor.Memory, bytes, new QuantizeRule(qparams.Scales[0], qparams.ZeroPoints[0], qparams.DType, onnxRule, compat));
        }
        return result;
    }

    /// <summary>What no kernel takes: float zero points, 4-bit integers.</summary>
    private static void QuantizeBlock(ReadOnlySpan<float> x, QuantizedTensor result, int channel, int start, int length, bool onnxRule, QuantizeCompat compat)
    {
        QParams p = result.QParams;
        var rule = new QuantizeRule(p.Scales[channel], p.ZeroPoints[channel], p.DType, onnxRule, compat);
        for (int i = start; i < start + length; i++)
        {
            result.SetInteger(i, p.HasFloatZeroPoints
                ? QuantizeTorch(x[i], rule.Inverse, p.FloatZeroPoints[channel], rule.Min, rule.Max)
                : rule.Apply(x[i]));
        }
    }

    /// <summary>Integers back to float32.</summary>
    public static Tensor Dequantize(QuantizedTensor tensor)
    {
        Tensor result = new(tensor.Shape, ActivationPool.AllocateFloats(tensor.Length)) { Source = tensor.Source, Name = tensor.Name };
        QParams p = tensor.QParams;
        (int outer, int channels, int inner) = p.IsPerChannel ? TensorShape.Split(tensor.Dims, p.Axis) : (1, 1, tensor.Length);
        if (p.HasFloatZeroPoints || !DequantizeKernel.Takes(p.DType))
        {
            for (int block = 0; block < outer * channels; block++)
                DequantizeBlock(tensor, result.Span, block % channels, block * inner, inner);
        }
        else if (p.IsPerChannel)
        {
            DequantizeKernel.Run(tensor.Memory, p, result.Memory, channels, inner);
        }
        else
        {
            DequantizeKernel.Run(tensor.Memory, p.DType, result.Memory, p.Scales[0], p.ZeroPoints[0]);
        }
        return result;
    }

    private static void DequantizeBlock(QuantizedTensor tensor, Span<float> y, int channel, int start, int length)
    {
        QParams p = tensor.QParams;
        for (int i = start; i < start + length; i++)
        {
            y[i] = p.HasFloatZeroPoints
                ? Dequantize(tensor.GetInteger(i), p.Scales[channel], p.FloatZeroPoints[channel])
                : Dequantize(tensor.GetInteger(i), p.Scales[channel], p.ZeroPoints[channel]);
        }
    }
}
