namespace QuantPS.Engine.Kernels.Reference;

/// <summary>The oracle for layout changes.</summary>
public static class ReferenceTranspose
{
    /// <summary>The part of [rows, columns] between r0, r1 and c0, c1, to [columns, rows]: target[c * rows + r] = source[r * columns + c].</summary>
    public static void Run(ReadOnlySpan<byte> source, Span<byte> target, int rows, int columns, int r0, int r1, int c0, int c1)
    {
        for (int r = r0; r < r1; r++)
            for (int c = c0; c < c1; c++)
                target[c * rows + r] = source[r * columns + c];
    }
}
