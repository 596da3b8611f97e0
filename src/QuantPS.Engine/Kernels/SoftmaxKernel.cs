using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Kernels.Vector;

namespace QuantPS.Engine.Kernels;

/// <summary>Softmax of rows of 8-bit integers, on all threads.</summary>
internal static class SoftmaxKernel
{
    private const int Least = 16 * 1024;

    /// <param name="x">Rows of 8-bit integers.</param>
    /// <param name="y">Receives as many; may be x itself.</param>
    /// <param name="length">Elements of a row, at least 1.</param>
    /// <param name="rule">The formula.</param>
    public static void Run(ReadOnlyMemory<byte> x, Memory<byte> y, int length, SoftmaxRule rule)
    {
        if (x.Length != y.Length || x.Length % length != 0)
            throw new ArgumentException($"{x.Length} integers into {y.Length} by rows of {length}.");
        KernelThreads.Split(x.Length / length, Math.Max(1, Least / length), new Work(x, y, length, rule, KernelSelector.UsesVectors));
    }

    private readonly struct Work(ReadOnlyMemory<byte> x, Memory<byte> y, int length, SoftmaxRule rule, bool vectors) : IKernelWork
    {
        public void Run(int from, int to)
        {
            ReadOnlySpan<byte> source = x.Span;
            Span<byte> target = y.Span;
            for (int row = from; row < to; row++)
            {
                if (vectors)
                    VectorSoftmax.Run(source.Slice(row * length, length), target.Slice(row * length, length), rule);
                else
                    ReferenceSoftmax.Run(source.Slice(row * length, length), target.Slice(row * length, length), rule);
            }
        }
    }
}
