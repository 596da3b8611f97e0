namespace QuantPS.Engine.Kernels;

/// <summary>A kernel for transposed convolutions: made once per layer, run many times, from any thread.</summary>
public abstract class ConvTransposeKernel
{
    /// <summary>What -Verbose shows.</summary>
    public abstract string Name { get; }

    /// <summary>The layout of input and output.</summary>
    public virtual KernelLayout Layout => KernelLayout.Contiguous;

    /// <param name="input">8-bit activations [N, I, spatial...] in the kernel's layout.</param>
    /// <param name="batch">N.</param>
    /// <param name="inputSpatial">Spatial sizes, as many as the geometry has.</param>
    /// <param name="output">Receives [N, O, output spatial...] in the kernel's layout.</param>
    public abstract void Run(ReadOnlyMemory<byte> input, int batch, int[] inputSpatial, Memory<byte> output);
}
