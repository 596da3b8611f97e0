using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Kernels.Reference;

/// <summary>The oracle for layer normalization of a sum: see <see cref="NormalizedSumRule"/>.</summary>
internal static class ReferenceNormalizedSum
{
    /// <summary>One row; y may be an operand.</summary>
    /// <param name="a">The first operand's integers.</param>
    /// <param name="b">The second operand's.</param>
    /// <param name="sums">Room for as many numbers.</param>
    /// <param name="y">Receives the result.</param>
    /// <param name="rule">The formula.</param>
    public static void Run(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b, Span<float> sums, Span<byte> y, NormalizedSumRule rule)
    {
        Span<float> lanes = stackalloc float[NormalizedSumRule.Lanes];
        lanes.Clear();
        Add(a, b, sums, 0, lanes, rule);
        float mean = rule.MeanOf(lanes);
        lanes.Clear();
        Square(sums, 0, mean, lanes);
        Normalize(sums, y, 0, mean, rule.FactorOf(lanes), rule);
    }

    /// <summary>The sums from an element on, also into their partial sums.</summary>
    public static void Add(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b, Span<float> sums, int from, Span<float> lanes, NormalizedSumRule rule)
    {
        for (int i = from; i < sums.Length; i++)
        {
            float second = (b[i] ^ rule.FlipB) * rule.ScaleB[i];
            second += rule.Offset[i];
            float first = (a[i] ^ rule.FlipA) * rule.ScaleA[i];
            sums[i] = first + second;
            lanes[i % NormalizedSumRule.Lanes] += sums[i];
        }
    }

    /// <summary>Squared differences from the mean from an element on, into their partial sums.</summary>
    public static void Square(ReadOnlySpan<float> sums, int from, float mean, Span<float> lanes)
    {
        for (int i = from; i < sums.Length; i++)
        {
            float d = sums[i] - mean;
            d *= d;
            lanes[i % NormalizedSumRule.Lanes] += d;
        }
    }

    /// <summary>The result from an element on.</summary>
    public static void Normalize(ReadOnlySpan<float> sums, Span<byte> y, int from, float mean, float factor, NormalizedSumRule rule)
    {
        (int low, int high) = rule.OutputSigned ? ((int)sbyte.MinValue, (int)sbyte.MaxValue) : (byte.MinValue, byte.MaxValue);
        int zero = rule.OutputZeroPoint;
        for (int i = from; i < sums.Length; i++)
        {
            float v = (sums[i] - mean) * factor;
            v *= rule.Gain[i];
            v += rule.Bias[i];
            y[i] = unchecked((byte)(Rounding.Saturate(v, low - zero, high - zero) + zero));
        }
    }
}
