using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Kernels;

/// <summary>Layer normalization of the sum of two rows of 8-bit integers as numbers, either row times a factor per channel.</summary>
/// <remarks>In float32, nothing fused or reordered: x = a * A + (b * B + O), where A and B are the operands' scales times their factors and O is what the zero points take off;
/// m = sum(x) / n; r = 1 / sqrt(sum((x - m)^2) / n + epsilon) in double; y = rne((x - m) * r * (g / s_y) + b / s_y) + z_y, saturated. Both sums are of
/// <see cref="Lanes"/> partial ones, element i in that of i mod <see cref="Lanes"/>, which are added up in double in their order.</remarks>
internal sealed class NormalizedSumRule
{
    /// <summary>Partial sums of a row.</summary>
    public const int Lanes = 16;

    /// <param name="a">8-bit parameters of the first operand.</param>
    /// <param name="factorsOfA">What the first operand is multiplied with, per channel; null for nothing.</param>
    /// <param name="b">8-bit parameters of the second operand.</param>
    /// <param name="factorsOfB">What the second operand is multiplied with, per channel; null for nothing.</param>
    /// <param name="output">8-bit parameters of the result.</param>
    /// <param name="gain">A factor for every element of a row.</param>
    /// <param name="bias">A summand for every element, or null.</param>
    /// <param name="epsilon">Added to the variance.</param>
    public NormalizedSumRule(QParams a, float[]? factorsOfA, QParams b, float[]? factorsOfB, QParams output, float[] gain, float[]? bias, float epsilon)
    {
        Epsilon = epsilon;
        (FlipA, FlipB) = (Flip(a), Flip(b));
        OutputZeroPoint = output.ZeroPoints[0];
        OutputSigned = output.DType == QDType.QInt8;
        (ScaleA, ScaleB, Offset, Gain, Bias) = (new float[gain.Length], new float[gain.Length], new float[gain.Length], new float[gain.Length], new float[gain.Length]);
        for (int i = 0; i < gain.Length; i++)
        {
            double scaleA = a.Scales[0] * (double)(factorsOfA?[i] ?? 1), scaleB = b.Scales[0] * (double)(factorsOfB?[i] ?? 1);
            (ScaleA[i], ScaleB[i]) = ((float)scaleA, (float)scaleB);
            // Of the rounded scales, so that zero points give 0.
            Offset[i] = (float)(-(double)ScaleA[i] * (a.ZeroPoints[0] + FlipA) - (double)ScaleB[i] * (b.ZeroPoints[0] + FlipB));
            Gain[i] = (float)(gain[i] / (double)output.Scales[0]);
            Bias[i] = (float)((bias?[i] ?? 0.0) / output.Scales[0]);
        }

        // qint8 becomes quint8 in the same order.
        static byte Flip(QParams p) => p.DType == QDType.QInt8 ? (byte)0x80 : (byte)0;
    }

    /// <summary>Elements of a row.</summary>
    public int Length => Gain.Length;

    public double Epsilon { get; }

    /// <summary>0x80 for a qint8 operand, which makes it quint8 in the same order.</summary>
    public byte FlipA { get; }

    /// <inheritdoc cref="FlipA"/>
    public byte FlipB { get; }

    public int OutputZeroPoint { get; }

    public bool OutputSigned { get; }

    /// <summary>What a step of the first operand is worth, per channel.</summary>
    public float[] ScaleA { get; }

    /// <inheritdoc cref="ScaleA"/>
    public float[] ScaleB { get; }

    /// <summary>The sum at integers of 0.</summary>
    public float[] Offset { get; }

    /// <summary>Factors in output steps.</summary>
    public float[] Gain { get; }

    /// <summary>Summands in output steps.</summary>
    public float[] Bias { get; }

    /// <summary>A row's total from its partial sums.</summary>
    public static double Total(ReadOnlySpan<float> lanes)
    {
        double total = 0;
        foreach (float lane in lanes)
            total += lane;
        return total;
    }

    public float MeanOf(ReadOnlySpan<float> lanes) => (float)(Total(lanes) / Length);

    /// <param name="lanes">Partial sums of the squared differences from the mean.</param>
    public float FactorOf(ReadOnlySpan<float> lanes) => (float)(1 / Math.Sqrt(Total(lanes) / Length + Epsilon));
}
