using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Kernels;

/// <summary>Layer normalization of a row of 8-bit integers as numbers.</summary>
/// <remarks>With S and Q the exact sums of the row's n integers and of their squares: r = s / sqrt(s^2 (n Q - S^2) / n^2 + epsilon) in double, and in float32
/// y = rne((x - S/n) * r * (g / s_y) + b / s_y) + z_y, saturated. The input's zero point cancels out.</remarks>
internal sealed class LayerNormRule
{
    /// <summary>Channels are padded to a multiple of this with zeros.</summary>
    public const int Padding = 64;

    /// <param name="input">8-bit parameters of the input.</param>
    /// <param name="output">8-bit parameters of the result.</param>
    /// <param name="gain">A factor for every element of a row.</param>
    /// <param name="bias">A summand for every element, or null.</param>
    /// <param name="epsilon">Added to the variance.</param>
    public LayerNormRule(QParams input, QParams output, float[] gain, float[]? bias, float epsilon)
    {
        Length = gain.Length;
        Scale = input.Scales[0];
        Epsilon = epsilon;
        Flip = input.DType == QDType.QInt8 ? (byte)0x80 : (byte)0;
        OutputZeroPoint = output.ZeroPoints[0];
        OutputSigned = output.DType == QDType.QInt8;
        int padded = (Length + Padding - 1) / Padding * Padding;
        Gain = new float[padded];
        Bias = new float[padded];
        for (int i = 0; i < Length; i++)
        {
            Gain[i] = (float)(gain[i] / (double)output.Scales[0]);
            Bias[i] = (float)((bias?[i] ?? 0.0) / output.Scales[0]);
        }
    }

    /// <summary>Elements of a row.</summary>
    public int Length { get; }

    public double Scale { get; }

    public double Epsilon { get; }

    /// <summary>0x80 for qint8 input, which makes it quint8 in the same order.</summary>
    public byte Flip { get; }

    public int OutputZeroPoint { get; }

    public bool OutputSigned { get; }

    /// <summary>Factors in output steps, padded.</summary>
    public float[] Gain { get; }

    /// <summary>Summands in output steps, padded.</summary>
    public float[] Bias { get; }

    /// <summary>A row's mean and what its differences from it are multiplied with.</summary>
    /// <param name="sum">Of the integers, as quint8.</param>
    /// <param name="squares">Of their squares.</param>
    public (float Mean, float Factor) Of(long sum, long squares)
    {
        double n = Length, variance = ((double)Length * squares - (double)sum * sum) / (n * n);
        return ((float)(sum / n), (float)(Scale / Math.Sqrt(Scale * Scale * variance + Epsilon)));
    }
}
