namespace QuantPS.Engine.Kernels.Reference;

/// <summary>The oracle for look-ups.</summary>
public static class ReferenceTable
{
    /// <summary>y[i] = table[x[i]].</summary>
    public static void Run(ReadOnlySpan<byte> x, Span<byte> y, ReadOnlySpan<byte> table)
    {
        for (int i = 0; i < x.Length; i++)
            y[i] = table[x[i]];
    }
}
