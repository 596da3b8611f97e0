namespace QuantPS.Engine.Kernels.Reference;

/// <summary>The oracle for global average pooling: plane by plane.</summary>
internal static class ReferenceGlobalAveragePool
{
    /// <summary>Planes, as many as there are means.</summary>
    public static void Planes(ReadOnlySpan<byte> x, Span<byte> y, in GlobalAverageRule rule)
    {
        for (int c = 0; c < y.Length; c++)
            y[c] = Mean(x, c * rule.Area, 1, rule);
    }

    /// <summary>Pixels of so many channels; the means of the channels from a first one on.</summary>
    public static void Pixels(ReadOnlySpan<byte> x, Span<byte> y, int channels, int first, in GlobalAverageRule rule)
    {
        for (int c = 0; c < y.Length; c++)
            y[c] = Mean(x, first + c, channels, rule);
    }

    private static byte Mean(ReadOnlySpan<byte> x, int start, int step, in GlobalAverageRule rule)
    {
        int sum = unchecked(-rule.Area * rule.ZeroPoint);
        for (int p = 0; p < rule.Area; p++)
            sum += rule.Signed ? (sbyte)x[start + p * step] : x[start + p * step];
        return rule.Apply(sum);
    }
}
