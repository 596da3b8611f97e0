namespace QuantPS.Engine.Kernels.Reference;

/// <summary>The oracle for quantizing: value by value.</summary>
public static class ReferenceQuantize
{
    /// <summary>8 bits.</summary>
    public static void Run(ReadOnlySpan<float> x, Span<byte> y, in QuantizeRule rule)
    {
        for (int i = 0; i < x.Length; i++)
            y[i] = unchecked((byte)rule.Apply(x[i]));
    }

    /// <summary>16 bits, signed or not.</summary>
    public static void Run(ReadOnlySpan<float> x, Span<short> y, in QuantizeRule rule)
    {
        for (int i = 0; i < x.Length; i++)
            y[i] = unchecked((short)rule.Apply(x[i]));
    }

    /// <summary>32 bits.</summary>
    public static void Run(ReadOnlySpan<float> x, Span<int> y, in QuantizeRule rule)
    {
        for (int i = 0; i < x.Length; i++)
            y[i] = rule.Apply(x[i]);
    }
}
