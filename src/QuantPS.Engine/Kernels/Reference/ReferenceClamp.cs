namespace QuantPS.Engine.Kernels.Reference;

/// <summary>The oracle for limits on integers.</summary>
public static class ReferenceClamp
{
    /// <summary>min(max(q, low), high).</summary>
    public static void Run(ReadOnlySpan<byte> x, Span<byte> y, int low, int high, bool signed)
    {
        for (int i = 0; i < x.Length; i++)
            y[i] = unchecked((byte)Math.Min(Math.Max(signed ? (sbyte)x[i] : x[i], low), high));
    }
}
