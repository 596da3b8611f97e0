using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Kernels.Vector;

namespace QuantPS.Engine.Kernels;

/// <summary>Layer normalization of rows of 8-bit integers, on all threads.</summary>
internal static class LayerNormKernel
{
    private const int Least = 16 * 1024;

    /// <param name="x">Rows of 8-bit integers.</param>
    /// <param name="y">Receives as many; may be x itself.</param>
    /// <param name="rule">The formula.</param>
    public static void Run(ReadOnlyMemory<byte> x, Memory<byte> y, LayerNormRule rule)
    {
        if (x.Length != y.Length || x.Length % rule.Length != 0)
            throw new ArgumentException($"{x.Length} integers into {y.Length} by rows of {rule.Length}.");
        KernelThreads.Split(x.Length / rule.Length, Math.Max(1, Least / rule.Length), new Work(x, y, rule, KernelSelector.UsesVectors));
    }

    private readonly struct Work(ReadOnlyMemory<byte> x, Memory<byte> y, LayerNormRule rule, bool vectors) : IKernelWork
    {
        public void Run(int from, int to)
        {
            ReadOnlySpan<byte> source = x.Span;
            Span<byte> target = y.Span;
            int length = rule.Length;
            for (int row = from; row < to; row++)
            {
                if (vectors)
                    VectorLayerNorm.Run(source.Slice(row * length, length), target.Slice(row * length, length), rule);
                else
                    ReferenceLayerNorm.Run(source.Slice(row * length, length), target.Slice(row * length, length), rule);
            }
        }
    }
}
