using QuantPS.Engine.Errors;

namespace QuantPS.Engine.Numerics;

/// <summary>Scale and zero point from an observed range: PyTorch's calculate_qparams, bit for bit.</summary>
/// <remarks>Source: torch/ao/quantization/observer.py, UniformQuantizationObserverBase._calculate_qparams; utils.py, check_min_max_valid.
/// Every operation is a float32 operation, in PyTorch's order.</remarks>
public static class QParamsCalculator
{
    /// <summary>The parameters for one range (per tensor) or one range a channel.</summary>
    /// <param name="min">Smallest values. Nothing was observed when it is empty, or, per tensor, +infinity with a maximum of -infinity.</param>
    /// <param name="max">Largest values, as many.</param>
    /// <param name="dtype">Storage type.</param>
    /// <param name="scheme">Affine, symmetric, or affine with float zero points.</param>
    /// <param name="range">The integers to use.</param>
    /// <param name="eps">Smallest scale.</param>
    /// <param name="axis">Channel axis, for per-channel schemes.</param>
    /// <returns>Never observed: scale 1, zero point 0.</returns>
    /// <exception cref="QuantException">NotANumber: NaN was observed. InvalidArgument: a minimum above its maximum. ZeroPointOutOfRange: a custom
    /// range outside the dtype's.</exception>
    public static QParams Calculate(ReadOnlySpan<float> min, ReadOnlySpan<float> max, QDType dtype, QScheme scheme, QuantRange range, float eps, int axis = -1)
    {
        (float[] scales, int[] zeroPoints, float[]? floatZeroPoints) = CalculateRaw(min, max, dtype, scheme, range, eps);
        return new QParams(scales, zeroPoints, dtype, scheme, axis, floatZeroPoints);
    }

    /// <summary>The same before anything asks whether the dtype can store the zero point. PyTorch asks only when it quantizes.</summary>
    internal static (float[] Scales, int[] ZeroPoints, float[]? FloatZeroPoints) CalculateRaw(
        ReadOnlySpan<float> min, ReadOnlySpan<float> max, QDType dtype, QScheme scheme, QuantRange range, float eps)
    {
        bool floatZeroPoint = scheme == QScheme.PerChannelAffineFloatQParams;
        if (min.IsEmpty || (!scheme.IsPerChannel() && float.IsPositiveInfinity(min[0]) && float.IsNegativeInfinity(max[0])))
            return ([1f], [0], floatZeroPoint ? [0f] : null);
        float[] scales = new float[min.Length];
        int[] zeroPoints = new int[min.Length];
        float[]? floats = floatZeroPoint ? new float[min.Length] : null;
        for (int c = 0; c < min.Length; c++)
        {
            CheckValid(min[c], max[c], c, scheme.IsPerChannel());
            if (scheme.IsSymmetric())
                (scales[c], zeroPoints[c]) = Symmetric(min[c], max[c], dtype, range, eps);
            else if (floatZeroPoint)
                (scales[c], floats![c]) = FloatZeroPoint(min[c], max[c], range, eps);
            else
                (scales[c], zeroPoints[c]) = Affine(min[c], max[c], range, eps);
        }
        return (scales, zeroPoints, floats);
    }

    private static (float Scale, int ZeroPoint) Affine(float min, float max, QuantRange range, float eps)
    {
        float low = MathF.Min(min, 0f);
        float high = MathF.Max(max, 0f);
        float scale = MathF.Max((high - low) / range.Width, eps);
        // An infinite range gives 0 or NaN here. NaN becomes INT32_MIN, the subtraction wraps: so it does in PyTorch on x86.
        int shift = Rounding.TruncateToInt32(Rounding.HalfToEven(low / scale));
        return (scale, Math.Clamp(unchecked(range.Min - shift), range.Min, range.Max));
    }

    private static (float Scale, int ZeroPoint) Symmetric(float min, float max, QDType dtype, QuantRange range, float eps)
    {
        float magnitude = MathF.Max(-MathF.Min(min, 0f), MathF.Max(max, 0f));
        float scale = MathF.Max(magnitude / range.HalfWidth, eps);
        // The middle for quint8 and uint16; PyTorch leaves quint4x2 at 0, as the signed types.
        int middle = dtype switch { QDType.QUInt8 => 128, QDType.QUInt16 => 32768, _ => 0 };
        int zeroPoint = middle > 0 && range.IsCustom ? (range.Min + range.Max) >> 1 : middle;
        return (scale, zeroPoint);
    }

    private static (float Scale, float ZeroPoint) FloatZeroPoint(float min, float max, QuantRange range, float eps)
    {
        float scale = (max - min) / range.Width;
        if (!(scale > eps))
            scale = 1f;
        return (scale, -1f * min / scale);
    }

    private static void CheckValid(float min, float max, int channel, bool perChannel)
    {
        if (min <= max)
            return;
        string where = perChannel ? $" of channel {channel}" : "";
        if (float.IsNaN(min) || float.IsNaN(max))
        {
            throw new QuantException(ErrorIds.NotANumber, $"The observed range{where} is not a number: the data held NaN. "
                + "Find the sample it came from and leave it out, then calibrate again.");
        }
        throw new QuantException(ErrorIds.InvalidArgument, $"The minimum{where}, {min}, is greater than the maximum, {max}.");
    }
}
