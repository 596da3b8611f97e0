namespace QuantPS.Engine.Kernels.Reference;

/// <summary>The oracle for sums and products in float32: pair by pair.</summary>
public static class ReferenceBinary
{
    /// <param name="x">One operand; a single integer stands for all.</param>
    /// <param name="y">The other, likewise.</param>
    /// <param name="z">Receives the results.</param>
    /// <param name="rule">The arithmetic.</param>
    public static void Run(ReadOnlySpan<byte> x, ReadOnlySpan<byte> y, Span<byte> z, in BinaryRule rule)
    {
        for (int i = 0; i < z.Length; i++)
            z[i] = rule.Apply(x[x.Length == 1 ? 0 : i], y[y.Length == 1 ? 0 : i]);
    }
}
