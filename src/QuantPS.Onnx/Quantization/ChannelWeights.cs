using QuantPS.Engine.Tensors;

namespace QuantPS.Onnx.Quantization;

/// <summary>Where the weights of one output are in a tensor: [O, I, ...] with the outputs first, [I, O, ...] otherwise. They come pixel by pixel, all
/// inputs of each, as kernels go through them.</summary>
internal readonly struct ChannelWeights
{
    private readonly int outer, inner, kernel;

    /// <param name="dims">The weight's shape.</param>
    /// <param name="axis">Dimension of the outputs.</param>
    public ChannelWeights(ReadOnlySpan<int> dims, int axis)
    {
        (outer, Channels, inner) = TensorShape.Split(dims, axis);
        Inputs = axis == 0 ? dims.Length > 1 ? dims[1] : 1 : outer;
        kernel = outer * inner / Inputs;
    }

    /// <summary>Outputs.</summary>
    public int Channels { get; }

    /// <summary>Inputs that an output has (of its group).</summary>
    public int Inputs { get; }

    /// <summary>Weights per output.</summary>
    public int Size => outer * inner;

    /// <summary>The weights of an output: element k of input i at k * <see cref="Inputs"/> + i.</summary>
    public void Gather<T>(ReadOnlySpan<T> weight, int channel, Span<T> to)
    {
        for (int i = 0; i < Size; i++)
            to[Place(i)] = weight[Index(channel, i)];
    }

    /// <summary>Puts them back.</summary>
    public void Scatter<T>(ReadOnlySpan<T> from, int channel, Span<T> weight)
    {
        for (int i = 0; i < Size; i++)
            weight[Index(channel, i)] = from[Place(i)];
    }

    private int Index(int channel, int i) => (i / inner * Channels + channel) * inner + i % inner;

    private int Place(int i) => i % kernel * Inputs + i / kernel;
}
