using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Numerics;

/// <summary>How PyTorch's own kernels quantize NaN and values beyond int32, kernel by kernel. On everything else they all agree with
/// <see cref="Quantizer.QuantizeTorch(float, float, int, int, int)"/>.</summary>
/// <remarks>Source: aten/native/quantized/cpu/kernels/QuantizedOpKernels.cpp, FBGEMM QuantUtilsAvx2.cc QuantizeAvx2; x86-64.</remarks>
public enum QuantizeCompat
{
    /// <summary>NaN to the minimum, everything else saturates.</summary>
    None,

    /// <summary>libtorch 2.x per tensor, 8 bits (AVX2): NaN acts as a big number, the int32 addition of the zero point wraps.</summary>
    Torch2PerTensor,

    /// <summary>libtorch 2.x per channel and every qint32: saturates; NaN gives 0 after clamping (8 bits) or INT32_MIN.</summary>
    Torch2PerChannel,

    /// <summary>torch 1.13 without FBGEMM: NaN and anything beyond 2^63 give the minimum.</summary>
    Torch113,
}

/// <summary>The kernels of <see cref="QuantizeCompat"/>, one value at a time.</summary>
public static class QuantizeCompatKernels
{
    /// <summary>Quantizes one value as the named kernel does, defects included.</summary>
    public static int Quantize(QuantizeCompat kernel, float x, float scale, int zeroPoint, QDType dtype)
    {
        (int min, int max) = dtype.Range();
        float inverse = 1f / scale;
        float t = x * inverse;
        switch (kernel)
        {
            case QuantizeCompat.Torch2PerTensor when dtype != QDType.QInt32:
                // min(t, 2147483520) as minps computes it: a NaN gives the second operand.
                t = t < 2147483520f ? t : 2147483520f;
                return Math.Clamp(unchecked(Rounding.ConvertToInt32(t) + zeroPoint), min, max);
            case QuantizeCompat.Torch2PerTensor or QuantizeCompat.Torch2PerChannel:
                if (float.IsNaN(t))
                    return dtype == QDType.QInt32 ? int.MinValue : Math.Clamp(0, min, max);
                return Quantizer.QuantizeTorch(x, inverse, zeroPoint, min, max);
            case QuantizeCompat.Torch113:
                float r = Rounding.HalfToEven(t) + zeroPoint;
                const float twoTo63 = 9223372036854775808f;
                return r >= -twoTo63 && r < twoTo63 ? (int)Math.Clamp((long)r, min, max) : min;
            default:
                return Quantizer.QuantizeTorch(x, inverse, zeroPoint, min, max);
        }
    }

    /// <summary>Quantizes a tensor as the named version of PyTorch does, with the kernel that it would choose.</summary>
    /// <param name="tensor">float32.</param>
    /// <param name="qparams">Integer zero points, per tensor or per channel.</param>
    /// <param name="version">Whose kernels.</param>
    public static QuantizedTensor Quantize(Tensor tensor, QParams qparams, TorchVersion version)
    {
        QuantizeCompat kernel = version == TorchVersion.V1_13 ? QuantizeCompat.Torch113 : qparams.IsPerChannel ? QuantizeCompat.Torch2PerChannel : QuantizeCompat.Torch2PerTensor;
        return Quantizer.Quantize(tensor, qparams, onnxRule: false, kernel);
    }
}
