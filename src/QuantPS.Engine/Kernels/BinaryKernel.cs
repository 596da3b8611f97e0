using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Kernels.Vector;

namespace QuantPS.Engine.Kernels;

/// <summary>Sums and products of 8-bit tensors in float32, on all threads. Any layout, as long as both operands have the same one.</summary>
public static class BinaryKernel
{
    private const int Least = 32 * 1024;

    /// <param name="x">One operand.</param>
    /// <param name="y">The other, as long.</param>
    /// <param name="z">Receives the results; may be x or y itself.</param>
    /// <param name="rule">The arithmetic.</param>
    /// <exception cref="ArgumentException">The lengths differ.</exception>
    public static void Run(ReadOnlyMemory<byte> x, ReadOnlyMemory<byte> y, Memory<byte> z, in BinaryRule rule)
    {
        if (x.Length != z.Length || y.Length != z.Length)
            throw new ArgumentException($"{x.Length} and {y.Length} bytes into {z.Length}.");
        KernelThreads.Split(z.Length, Least, new Work(x, y, z, rule, KernelSelector.UsesVectors), Lanes.Wide);
    }

    /// <summary>The same on the calling thread; a single integer stands for as many as there are results.</summary>
    internal static void Run(ReadOnlySpan<byte> x, ReadOnlySpan<byte> y, Span<byte> z, in BinaryRule rule, bool vectors)
    {
        if (vectors)
            VectorBinary.Run(x, y, z, rule);
        else
            ReferenceBinary.Run(x, y, z, rule);
    }

    private readonly struct Work(ReadOnlyMemory<byte> x, ReadOnlyMemory<byte> y, Memory<byte> z, BinaryRule rule, bool vectors) : IKernelWork
    {
        public void Run(int from, int to) => BinaryKernel.Run(x.Span[from..to], y.Span[from..to], z.Span[from..to], rule, vectors);
    }
}
