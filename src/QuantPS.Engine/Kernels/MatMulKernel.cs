namespace QuantPS.Engine.Kernels;

/// <summary>Products of matrices of activations: 8-bit integers in, 8-bit integers out, exact int32 sums (which wrap) between.</summary>
public abstract class MatMulKernel
{
    /// <summary>What -Verbose shows.</summary>
    public abstract string Name { get; }

    /// <param name="left">[matrices, rows, depth], row-major.</param>
    /// <param name="right">[matrices, depth, columns], row-major.</param>
    /// <param name="stack">The sizes.</param>
    /// <param name="output">Receives [products, rows, columns].</param>
    public abstract void Run(ReadOnlyMemory<byte> left, ReadOnlyMemory<byte> right, MatMulStack stack, Memory<byte> output);
}
