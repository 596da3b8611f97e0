namespace QuantPS.Engine.Kernels.Reference;

/// <summary>The oracle for integers-only additions: pair by pair.</summary>
public static class ReferenceFixedPointAdd
{
    /// <param name="x">One operand; a single integer stands for all.</param>
    /// <param name="y">The other, likewise.</param>
    /// <param name="z">Receives the sums.</param>
    /// <param name="rule">The arithmetic.</param>
    public static void Run(ReadOnlySpan<byte> x, ReadOnlySpan<byte> y, Span<byte> z, in FixedPointAddRule rule)
    {
        for (int i = 0; i < z.Length; i++)
        {
            byte a = x[x.Length == 1 ? 0 : i], b = y[y.Length == 1 ? 0 : i];
            z[i] = unchecked((byte)(rule.Signed ? rule.Apply((sbyte)a, (sbyte)b) : rule.Apply(a, b)));
        }
    }
}
