namespace QuantPS.Engine.Kernels;

/// <summary>How a kernel's activations lie in memory.</summary>
public enum KernelLayout
{
    /// <summary>[N, C, spatial...]: a plane a channel.</summary>
    Contiguous,

    /// <summary>[N, spatial..., C]: the channels of a pixel side by side.</summary>
    ChannelsLast,
}

/// <summary>A convolution kernel with its packed weights: made once per layer, run many times, from any thread.</summary>
public abstract class ConvKernel
{
    /// <summary>What -Verbose shows.</summary>
    public abstract string Name { get; }

    /// <summary>The layout of input and output.</summary>
    public virtual KernelLayout Layout => KernelLayout.Contiguous;

    /// <param name="input">8-bit activations, [N, C, spatial...] in the kernel's layout.</param>
    /// <param name="batch">N.</param>
    /// <param name="inputSpatial">Spatial sizes, as many as the geometry has.</param>
    /// <param name="output">Receives [N, O, output spatial...] in the kernel's layout.</param>
    public abstract void Run(ReadOnlyMemory<byte> input, int batch, int[] inputSpatial, Memory<byte> output);

    /// <summary>Whether sums by a rule are made of each output as it is stored, so that what is added may be the output's own memory.</summary>
    public virtual bool AddsInPlace(in BinaryRule rule) => false;

    /// <summary>The same, and the sums with another tensor in the outputs' place.</summary>
    /// <param name="input">8-bit activations, [N, C, spatial...] in the kernel's layout.</param>
    /// <param name="batch">N.</param>
    /// <param name="inputSpatial">Spatial sizes, as many as the geometry has.</param>
    /// <param name="output">Receives the sums, [N, O, output spatial...] in the kernel's layout.</param>
    /// <param name="residual">What to add.</param>
    public virtual void Run(ReadOnlyMemory<byte> input, int batch, int[] inputSpatial, Memory<byte> output, in ConvResidual residual)
    {
        Run(input, batch, inputSpatial, output);
        BinaryKernel.Run(output, residual.Other, output, residual.Rule);
    }
}

/// <summary>A matrix-product kernel with its packed weights.</summary>
public abstract class LinearKernel
{
    /// <summary>What -Verbose shows.</summary>
    public abstract string Name { get; }

    /// <param name="input">8-bit activations [rows, in], row-major.</param>
    /// <param name="rows">Number of rows.</param>
    /// <param name="output">Receives [rows, out], row-major.</param>
    public abstract void Run(ReadOnlyMemory<byte> input, int rows, Memory<byte> output);
}
