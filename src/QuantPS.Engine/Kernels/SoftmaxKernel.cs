using System.Runtime.CompilerServices;
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
            if (vectors && length == 2)
            {
                Pairs(source[(2 * from)..(2 * to)], target[(2 * from)..(2 * to)], rule);
                return;
            }
            bool whole = vectors && VectorSoftmax.Pays(length);
            for (int row = from; row < to; row++)
            {
                if (whole)
                    VectorSoftmax.Run(source.Slice(row * length, length), target.Slice(row * length, length), rule);
                else
                    ReferenceSoftmax.Run(source.Slice(row * length, length), target.Slice(row * length, length), rule);
            }
        }

        /// <summary>Rows of two, as of detectors that tell something from nothing: both results depend on the difference alone.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void Pairs(ReadOnlySpan<byte> source, Span<byte> target, SoftmaxRule rule)
        {
            ReadOnlySpan<byte> first = rule.FirstOfTwo;
            byte flip = rule.Flip;
            for (int i = 0; i + 1 < source.Length && i + 1 < target.Length; i += 2)
            {
                int difference = (source[i] ^ flip) - (source[i + 1] ^ flip);
                target[i] = first[255 + difference];
                target[i + 1] = first[255 - difference];
            }
        }
    }
}
