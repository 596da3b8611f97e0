using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Kernels.Reference;

/// <summary>The oracle for layer normalization: see <see cref="LayerNormRule"/>.</summary>
internal static class ReferenceLayerNorm
{
    /// <summary>One row; y may be x.</summary>
    public static void Run(ReadOnlySpan<byte> x, Span<byte> y, LayerNormRule rule)
    {
        (long sum, long squares) = Sums(x, rule.Flip);
        (float mean, float factor) = rule.Of(sum, squares);
        (int low, int high) = rule.OutputSigned ? ((int)sbyte.MinValue, (int)sbyte.MaxValue) : (byte.MinValue, byte.MaxValue);
        int zero = rule.OutputZeroPoint;
        for (int i = 0; i < x.Length; i++)
        {
            float v = ((x[i] ^ rule.Flip) - mean) * factor;
            v *= rule.Gain[i];
            v += rule.Bias[i];
            y[i] = unchecked((byte)(Rounding.Saturate(v, low - zero, high - zero) + zero));
        }
    }

    /// <summary>Exact sums of the bytes after flipping, and of their squares.</summary>
    public static (long Sum, long Squares) Sums(ReadOnlySpan<byte> x, byte flip)
    {
        long sum = 0, squares = 0;
        foreach (byte b in x)
        {
            int v = b ^ flip;
            sum += v;
            squares += v * v;
        }
        return (sum, squares);
    }
}
