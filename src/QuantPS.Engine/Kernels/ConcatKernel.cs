using QuantPS.Engine.Kernels.Selection;

namespace QuantPS.Engine.Kernels;

/// <summary>Joins 8-bit tensors along a dimension, one at a time, each byte through a table if parameters change; on all threads.</summary>
public static class ConcatKernel
{
    private const int Least = 64 * 1024;

    /// <param name="x">[outer, length].</param>
    /// <param name="y">[outer, pitch], of which the bytes from <paramref name="start"/> on are filled.</param>
    /// <param name="outer">Stretches.</param>
    /// <param name="length">Bytes of a stretch.</param>
    /// <param name="pitch">Bytes of a stretch of the result.</param>
    /// <param name="start">Where in it these bytes go.</param>
    /// <param name="table">256 entries; null to copy.</param>
    /// <exception cref="ArgumentException">Lengths and sizes do not match.</exception>
    public static void Run(ReadOnlyMemory<byte> x, Memory<byte> y, int outer, int length, int pitch, int start, byte[]? table) => Run(x, y, outer, length, pitch, start, table, length, table);

    /// <summary>The same, with another table for the last bytes of every stretch.</summary>
    internal static void Run(ReadOnlyMemory<byte> x, Memory<byte> y, int outer, int length, int pitch, int start, byte[]? table, int split, byte[]? tail)
    {
        if (x.Length != outer * length || y.Length != outer * pitch || start < 0 || start + length > pitch)
            throw new ArgumentException($"{x.Length} bytes as {outer} x {length} into {y.Length} as {outer} x {pitch}, from {start} on.");
        if (outer == 1)
        {
            Part(x[..split], y.Slice(start, split), table);
            Part(x[split..], y.Slice(start + split, length - split), tail);
            return;
        }
        KernelThreads.Split(outer, Math.Max(1, Least / Math.Max(1, length)), new Work(x, y, length, pitch, start, table, split, tail, KernelSelector.UsesVectors));
    }

    private static void Part(ReadOnlyMemory<byte> x, Memory<byte> y, byte[]? table)
    {
        if (table is null)
            x.CopyTo(y);
        else
            TableKernel.Run(x, y, table);
    }

    private readonly struct Work(ReadOnlyMemory<byte> x, Memory<byte> y, int length, int pitch, int start, byte[]? table, int split, byte[]? tail, bool vectors) : IKernelWork
    {
        public void Run(int from, int to)
        {
            ReadOnlySpan<byte> source = x.Span;
            Span<byte> target = y.Span;
            for (int o = from; o < to; o++)
            {
                ReadOnlySpan<byte> stretch = source.Slice(o * length, length);
                Span<byte> result = target.Slice(o * pitch + start, length);
                Fill(stretch[..split], result[..split], table);
                Fill(stretch[split..], result[split..], tail);
            }
        }

        private void Fill(ReadOnlySpan<byte> stretch, Span<byte> result, byte[]? entries)
        {
            if (entries is null)
                stretch.CopyTo(result);
            else
                TableKernel.Run(stretch, result, entries, vectors);
        }
    }
}
