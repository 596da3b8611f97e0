using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Kernels;

/// <summary>QNNPACK's and XNNPACK's integers-only addition of two tensors of one 8-bit dtype.</summary>
/// <remarks>Source: named at <see cref="Layers.QuantizedAdd"/>.</remarks>
public readonly struct FixedPointAddRule
{
    private const float LeastRatio = 1f / (1 << 14), RatioLimit = 256f;

    /// <param name="x">Per-tensor parameters of the first operand; qint8 rounds ties upwards, quint8 away from zero.</param>
    /// <param name="y">Of the second.</param>
    /// <param name="output">Of the sum.</param>
    /// <param name="relu">Nothing below the zero point.</param>
    /// <exception cref="QuantException">InvalidRequantizationScale: a ratio outside 2^-14 to 2^8.</exception>
    public FixedPointAddRule(QParams x, QParams y, QParams output, bool relu)
    {
        float ratioX = x.Scales[0] / output.Scales[0], ratioY = y.Scales[0] / output.Scales[0];
        foreach (float ratio in (ReadOnlySpan<float>)[ratioX, ratioY])
        {
            if (!(ratio >= LeastRatio && ratio < RatioLimit))
                throw new QuantException(ErrorIds.InvalidRequantizationScale, $"QNNPACK adds with ratios of input scale to output scale from 2^-14 up to 2^8; one here is {ratio:G9}. Observe a wider range, or use another engine.");
        }
        Signed = x.DType == QDType.QInt8;
        int exponent = (BitConverter.SingleToInt32Bits(MathF.Max(ratioX, ratioY)) >> 23) - 127;
        Shift = (Signed ? 20 : 21) - exponent;
        float toInteger = BitConverter.Int32BitsToSingle((Shift + 127) << 23);
        MultiplierX = (int)Rounding.HalfToEven(ratioX * toInteger);
        MultiplierY = (int)Rounding.HalfToEven(ratioY * toInteger);
        Bias = unchecked(-(MultiplierX * x.ZeroPoints[0] + MultiplierY * y.ZeroPoints[0]));
        ZeroPoint = output.ZeroPoints[0];
        (Low, High) = output.DType.Range();
        if (relu)
            Low = Math.Max(Low, ZeroPoint);
    }

    /// <summary>qint8, XNNPACK's rule.</summary>
    public bool Signed { get; }

    public int MultiplierX { get; }

    public int MultiplierY { get; }

    /// <summary>What both zero points come to.</summary>
    public int Bias { get; }

    /// <summary>Bits behind the binary point. Only its five lowest bits count.</summary>
    public int Shift { get; }

    public int ZeroPoint { get; }

    public int Low { get; }

    public int High { get; }

    /// <summary>One sum: what every kernel has to give.</summary>
    public int Apply(int x, int y)
    {
        int sum = unchecked(Bias + x * MultiplierX + y * MultiplierY);
        int quotient;
        if (Signed)
        {
            quotient = unchecked(sum + (1 << (Shift - 1))) >> Shift;
        }
        else
        {
            int mask = (int)((1u << Shift) - 1);
            int remainder = (sum & mask) - (sum < 0 ? 1 : 0);
            quotient = (sum >> Shift) + (remainder > mask >> 1 ? 1 : 0);
        }
        return Math.Clamp(unchecked(quotient + ZeroPoint), Low, High);
    }
}
