using QuantPS.Engine.Errors;

namespace QuantPS.Engine.Numerics;

/// <summary>Scale and zero point as ONNX Runtime's quantization tool computes them; it differs from PyTorch's rule in precision and in the symmetric range.</summary>
/// <remarks>Source: onnxruntime/python/tools/quantization/quant_utils.py compute_scale_zp, get_qmin_qmax_for_qType; base_quantizer.py
/// _adjust_weight_scale_for_int32_bias.</remarks>
public static class OrtQParams
{
    /// <summary>Smallest normal float32. A smaller scale becomes 1.</summary>
    private const double Tiny = 1.1754943508222875e-38;

    /// <summary>Room that is kept between a bias and the end of int32.</summary>
    private const double BiasMargin = 1.0001;

    /// <summary>The parameters for one range, or one range a channel.</summary>
    /// <param name="min">Smallest values.</param>
    /// <param name="max">Largest values, as many.</param>
    /// <param name="dtype">Any but qint32.</param>
    /// <param name="scheme">Symmetric or affine, per tensor or per channel.</param>
    /// <param name="reduceRange">One bit less: 0..127, -64..64, ...</param>
    /// <param name="axis">Channel axis, for per-channel schemes.</param>
    /// <param name="minRealRange">Smallest distance between the ends of the range, which the upper one is moved for: MinimumRealRange.</param>
    /// <exception cref="QuantException">UnsupportedDType, UnsupportedScheme; NotANumber.</exception>
    public static QParams Calculate(ReadOnlySpan<float> min, ReadOnlySpan<float> max, QDType dtype, QScheme scheme, bool reduceRange = false, int axis = -1,
        float? minRealRange = null)
    {
        if (scheme == QScheme.PerChannelAffineFloatQParams)
            throw new QuantException(ErrorIds.UnsupportedScheme, "ONNX Runtime has no float zero points. Use an affine or symmetric scheme.");
        (int low, int high) = (dtype, reduceRange, scheme.IsSymmetric()) switch
        {
            (QDType.QUInt8, true, _) => (0, 127),
            (QDType.QUInt8, false, _) => (0, 255),
            (QDType.QInt8, true, _) => (-64, 64),
            (QDType.QInt8, false, true) => (-127, 127),
            (QDType.QInt8, false, false) => (-128, 127),
            (QDType.QUInt16, true, _) => (0, 32767),
            (QDType.QUInt16, false, _) => (0, 65535),
            (QDType.QInt16, true, _) => (-16384, 16384),
            (QDType.QInt16, false, true) => (-32767, 32767),
            (QDType.QInt16, false, false) => (-32768, 32767),
            (QDType.QUInt4, true, _) => (0, 7),
            (QDType.QUInt4, false, _) => (0, 15),
            (QDType.QInt4, true, _) => (-4, 3),
            (QDType.QInt4, false, _) => (-8, 7),
            _ => throw new QuantException(ErrorIds.UnsupportedDType, $"ONNX Runtime computes no parameters for {dtype.TorchName()} values. Use quint8, qint8, or a type of 16 or 4 bits."),
        };
        var scales = new float[min.Length];
        var zeroPoints = new int[min.Length];
        for (int c = 0; c < scales.Length; c++)
            (scales[c], zeroPoints[c]) = One(min[c], max[c], low, high, scheme.IsSymmetric(), minRealRange);
        return new QParams(scales, zeroPoints, dtype, scheme, axis);
    }

    /// <summary>Widens the scales of weights that are so small that the bias would not fit int32.</summary>
    /// <param name="weight">qint8, per tensor or per channel; unchanged when a zero point is not 0.</param>
    /// <param name="bias">One value per output channel.</param>
    /// <param name="inputScale">Scale of the layer's input.</param>
    public static QParams AdjustForInt32Bias(QParams weight, ReadOnlySpan<float> bias, float inputScale)
    {
        if (weight.DType != QDType.QInt8 || !weight.HasZeroZeroPoints)
            return weight;
        float[] scales = weight.Scales.ToArray();
        for (int c = 0; c < scales.Length; c++)
            scales[c] = WidenForInt32Bias(scales[c], weight.IsPerChannel ? bias.Slice(c, 1) : bias, inputScale);
        return new QParams(scales, weight.ZeroPoints.ToArray(), weight.DType, weight.Scheme, weight.Axis);
    }

    /// <summary>The scale itself, or the smallest one at which the largest of the biases fits int32 with scale input x weight.</summary>
    public static float WidenForInt32Bias(float weightScale, ReadOnlySpan<float> bias, float inputScale)
    {
        double largest = 0;
        foreach (float b in bias)
            largest = Math.Max(largest, Math.Abs((double)b));
        double need = BiasMargin * 2 * largest / (Math.Pow(2, 32) - 2), have = (double)inputScale * weightScale;
        return have > 0 && have < need ? (float)(weightScale * (need / have)) : weightScale;
    }

    private static (float Scale, int ZeroPoint) One(float min, float max, int low, int high, bool symmetric, float? minRealRange)
    {
        if (float.IsNaN(min) || float.IsNaN(max))
            throw new QuantException(ErrorIds.NotANumber, "The observed range is not a number: the data held NaN. Find the sample it came from and leave it out.");
        float from = MathF.Min(min, 0f), to = MathF.Max(max, 0f);
        if (minRealRange is float distance)
            to = MathF.Max(to, from + distance);
        if (symmetric)
        {
            to = MathF.Max(MathF.Abs(from), MathF.Abs(to));
            from = -to;
        }
        double scale = (double)(to - from) / (high - low);
        if (scale < Tiny)
            return (1f, 0);
        double zeroPoint = symmetric ? (low + high) / 2.0 : low - from / scale;
        return ((float)scale, (int)Math.Round(zeroPoint, MidpointRounding.ToEven));
    }
}
