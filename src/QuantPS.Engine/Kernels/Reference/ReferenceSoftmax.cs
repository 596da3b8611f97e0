using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Kernels.Reference;

/// <summary>The oracle for softmax: see <see cref="SoftmaxRule"/>.</summary>
internal static class ReferenceSoftmax
{
    /// <summary>One row; y may be x.</summary>
    public static void Run(ReadOnlySpan<byte> x, Span<byte> y, SoftmaxRule rule)
    {
        int max = 0;
        foreach (byte b in x)
            max = Math.Max(max, b ^ rule.Flip);
        ulong sum = 0;
        foreach (byte b in x)
            sum += rule.Fixed[255 - max + (b ^ rule.Flip)];
        float factor = rule.Factor(sum);
        (int low, int high) = rule.OutputSigned ? ((int)sbyte.MinValue, (int)sbyte.MaxValue) : (byte.MinValue, byte.MaxValue);
        int zero = rule.OutputZeroPoint;
        for (int i = 0; i < x.Length; i++)
            y[i] = unchecked((byte)(Rounding.Saturate(rule.Reals[255 - max + (x[i] ^ rule.Flip)] * factor, low - zero, high - zero) + zero));
    }
}
