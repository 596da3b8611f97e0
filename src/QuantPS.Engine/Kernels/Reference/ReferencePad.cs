namespace QuantPS.Engine.Kernels.Reference;

/// <summary>The oracle for margins: byte by byte.</summary>
internal static class ReferencePad
{
    /// <param name="x">[rows, width].</param>
    /// <param name="y">Receives [rows, before + width + after].</param>
    /// <param name="width">Bytes of a row.</param>
    /// <param name="before">Bytes of margin in front of each row.</param>
    /// <param name="after">Bytes of margin behind it.</param>
    /// <param name="value">Of the margin.</param>
    public static void Run(ReadOnlySpan<byte> x, Span<byte> y, int width, int before, int after, byte value)
    {
        int row = before + width + after;
        for (int i = 0; i < y.Length; i++)
        {
            (int r, int at) = Math.DivRem(i, row);
            y[i] = at < before || at >= before + width ? value : x[r * width + at - before];
        }
    }
}
