using QuantPS.Engine.Errors;

namespace QuantPS.Engine.Numerics;

/// <summary>The integers that quantization may use: PyTorch's quant_min and quant_max.</summary>
/// <param name="Min">Smallest integer.</param>
/// <param name="Max">Largest integer.</param>
/// <param name="IsCustom">True when both ends were named, which moves quint8's symmetric zero point from 128 to the middle of the range.</param>
public readonly record struct QuantRange(int Min, int Max, bool IsCustom = false)
{
    /// <summary>Max - Min as float32. For qint32 that rounds to 2^32.</summary>
    public float Width => (float)((long)Max - Min);

    /// <summary>(Max - Min) / 2 as float32: 127.5 for 8 bits.</summary>
    public float HalfWidth => (float)(((long)Max - Min) / 2.0);

    /// <summary>The range of a dtype, one bit less where asked for, or the range that was named.</summary>
    /// <param name="dtype">Storage type.</param>
    /// <param name="reduceRange">0..127 for quint8, -64..63 for qint8; ignored for the other types. Halves a custom range, rounding both ends down.</param>
    /// <param name="quantMin">One end of a custom range; it counts only if both ends are given.</param>
    /// <param name="quantMax">The other end.</param>
    /// <remarks>Source: torch/ao/quantization/utils.py calculate_qmin_qmax, validate_qmin_qmax (2.x). As there, a custom range for quint8 is not
    /// checked against 0..255; a zero point that does not fit is refused by <see cref="QParams"/>.</remarks>
    /// <exception cref="QuantException">InvalidQuantizationRange: zero outside the range, an empty range, or more than 256 values for qint8.</exception>
    public static QuantRange Create(QDType dtype, bool reduceRange = false, int? quantMin = null, int? quantMax = null)
    {
        if (quantMin is not int min || quantMax is not int max)
        {
            return (dtype, reduceRange) switch
            {
                (QDType.QUInt8, true) => new(0, 127),
                (QDType.QInt8, true) => new(-64, 63),
                _ => new(dtype.Range().Min, dtype.Range().Max),
            };
        }
        if (min > 0 || max < 0)
        {
            throw new QuantException(ErrorIds.InvalidQuantizationRange,
                $"The quantization range {min}..{max} does not contain 0. Real zero must be representable: name a range around 0.");
        }
        if (min >= max)
            throw new QuantException(ErrorIds.InvalidQuantizationRange, $"The quantization range {min}..{max} is empty: the minimum must be less than the maximum.");
        // The 2^32 values that PyTorch 2 allows for qint32 are all that an int has.
        if (dtype == QDType.QInt8 && (long)max - min + 1 > 256)
        {
            throw new QuantException(ErrorIds.InvalidQuantizationRange,
                $"The quantization range {min}..{max} has {(long)max - min + 1} values, but qint8 has 256. Name a range of at most 256 values.");
        }
        return reduceRange ? new(min >> 1, max >> 1, true) : new(min, max, true);
    }

    public override string ToString() => $"{Min}..{Max}";
}
