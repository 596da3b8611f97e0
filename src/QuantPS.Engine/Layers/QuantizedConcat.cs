using QuantPS.Engine.Errors;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>Joins quantized tensors along a dimension, each requantized to the output's parameters: PyTorch's quantized::cat, cat_relu and FloatFunctional.cat.</summary>
/// <remarks>
/// Source: aten/native/quantized/cpu/qconcat.cpp (TensorShape.cpp in newer versions) quantized_cat_impl: dequantize, join, quantize; ReLU: max(q, z_y).
/// Channels-last images joined along the channels take kernels/QuantizedOpKernels.cpp qcat_nhwc_kernel: a tensor that has the output's parameters is
/// copied, the others go through the vectorized formula of <see cref="AtenQuantizer"/>; in compat mode the channels behind the last multiple of 8
/// (32, 16 with AVX-512) follow the scalar one. Both are the same but for near-ties. All engines agree.
/// onnxruntime: QuantizeLinear of DequantizeLinear of each, of whatever dtype; what has the output's parameters is copied.
/// </remarks>
public sealed class QuantizedConcat
{
    private readonly EngineKind engine;
    private readonly LayerOptions options;
    private readonly int dim;
    private readonly bool channelsLast;

    // Tables cost more than most tensors that they are for.
    private const int MostKnown = 64;
    private Known[] known = [];

    /// <param name="output">8-bit parameters of the result.</param>
    /// <param name="dim">Dimension to join along; negative ones count from the end.</param>
    /// <param name="channelsLast">The tensors lie in memory as a quantized convolution leaves them, which decides between two kernels of PyTorch for 4-D, dim 1.</param>
    /// <param name="engine">All of PyTorch's engines agree; onnxruntime differs.</param>
    /// <param name="options">ReLU, compat.</param>
    /// <exception cref="QuantException">UnsupportedDType.</exception>
    public QuantizedConcat(QParams output, int dim = 1, bool channelsLast = true, EngineKind engine = EngineKind.X86, LayerOptions? options = null)
    {
        OperatorChecks.EightBit(output, "The result");
        OutputQParams = output;
        this.engine = engine;
        this.dim = dim;
        this.channelsLast = channelsLast;
        this.options = options ?? new LayerOptions();
    }

    public QParams OutputQParams { get; }

    /// <summary>The dimension to join along; negative ones count from the end.</summary>
    public int Dim => dim;

    /// <exception cref="QuantException">ShapeMismatch: all dimensions but the joined one must agree; InvalidArgument: no tensors; UnsupportedDType.</exception>
    public QuantizedTensor Run(params ReadOnlySpan<QuantizedTensor> tensors)
    {
        if (tensors.Length == 0)
            throw new QuantException(ErrorIds.InvalidArgument, "There are no tensors to join. Give at least one.");
        int axis = TensorShape.NormalizeAxis(dim, tensors[0].Rank);
        int[] shape = tensors[0].Shape;
        shape[axis] = 0;
        foreach (QuantizedTensor t in tensors)
        {
            CheckInput(t.QParams);
            int[] other = t.Shape;
            if (other.Length == shape.Length)
            {
                shape[axis] += other[axis];
                other[axis] = shape[axis];
            }
            if (!other.AsSpan().SequenceEqual(shape))
                throw new QuantException(ErrorIds.ShapeMismatch, $"[{TensorShape.Format(t.Dims)}] cannot be joined to [{TensorShape.Format(tensors[0].Dims)}] along dimension {axis}: all others must agree.", t);
        }
        // The layout that most of the bytes have; the others are turned.
        bool pixels = shape.Length > 2 && axis > 0 && Bytes(tensors, last: true) is > 0 and var lying && lying >= Bytes(tensors, last: false);
        QuantizedTensor y = OperatorChecks.NewTensor(shape, OutputQParams, tensors[0], pixels ? KernelLayout.ChannelsLast : KernelLayout.Contiguous, out Memory<byte> result);
        (int outer, int joined, int inner) = TensorShape.Split(pixels ? [shape[0], .. shape[2..], shape[1]] : shape, !pixels ? axis : axis == 1 ? shape.Length - 1 : axis - 1);
        bool nhwc = channelsLast && shape.Length == 4 && axis == 1;
        int start = 0;
        foreach (QuantizedTensor t in tensors)
        {
            int size = t.Dims[axis];
            (ByteTable? vector, ByteTable? tail) = Tables(t.QParams, nhwc);
            Memory<byte> x, turned = default;
            if (!pixels)
                x = t.Memory;
            else if (!t.TryGetChannelsLast(out x))
            {
                x = turned = ActivationPool.Allocate(t.Length);
                LayoutConversion.ToChannelsLast(t.Memory, turned, t.Dims[0], t.Dims[1], TensorShape.Count(t.Dims[2..]));
            }
            ConcatKernel.Run(x, result, outer, size * inner, joined * inner, start * inner, vector, VectorChannels(size) * inner, tail);
            ActivationPool.Return(turned);
            start += size;
        }
        return y;
    }

    /// <exception cref="QuantException">UnsupportedDType.</exception>
    internal void CheckInput(QParams input)
    {
        OperatorChecks.EightBit(input, "A tensor to join");
        if (engine != EngineKind.OnnxRuntime)
            OperatorChecks.SameDType(input, OutputQParams, "Joining");
    }

    /// <summary>All of a tensor's bytes go through the same table; otherwise some channels have one of their own.</summary>
    internal bool HasOneTable => !options.Compat || !channelsLast;

    /// <summary>That table, for tensors joined along the channels; null where bytes are copied.</summary>
    /// <param name="input">The tensor's parameters.</param>
    /// <param name="rank">Its dimensions.</param>
    internal ByteTable? TableOf(QParams input, int rank) => Tables(input, channelsLast && rank == 4).Vector;

    /// <summary>Of the tensors that lie pixel by pixel, or of those that lie in planes.</summary>
    internal static long Bytes(ReadOnlySpan<QuantizedTensor> tensors, bool last)
    {
        long sum = 0;
        foreach (QuantizedTensor t in tensors)
            sum += (last ? t.IsChannelsLast : !t.TryGetChannelsLast(out _)) ? t.Length : 0;
        return sum;
    }

    /// <summary>Puts one image tensor's channels into the result of joining along the channels; bytes in either layout, the formula as the layer was told.</summary>
    /// <param name="x">8-bit integers, [N, C, area] in the layout.</param>
    /// <param name="qparams">Its parameters, of the output's dtype.</param>
    /// <param name="batch">N.</param>
    /// <param name="channels">C.</param>
    /// <param name="area">Pixels of an image.</param>
    /// <param name="y">The result, [N, all channels, area] in the layout.</param>
    /// <param name="allChannels">Of the result.</param>
    /// <param name="first">Where in them these channels begin.</param>
    /// <param name="layout">Of both.</param>
    /// <exception cref="QuantException">UnsupportedDType.</exception>
    public void Join(ReadOnlyMemory<byte> x, QParams qparams, int batch, int channels, int area, Memory<byte> y, int allChannels, int first, KernelLayout layout)
    {
        OperatorChecks.EightBit(qparams, "A tensor to join");
        OperatorChecks.SameDType(qparams, OutputQParams, "Joining");
        (int outer, int inner) = layout == KernelLayout.ChannelsLast ? (batch * area, 1) : (batch, area);
        (ByteTable? vector, ByteTable? tail) = Tables(qparams, channelsLast);
        ConcatKernel.Run(x, y, outer, channels * inner, allChannels * inner, first * inner, vector, VectorChannels(channels) * inner, tail);
    }

    private int VectorChannels(int channels)
    {
        int lanes = options.TorchVersion == TorchVersion.V1_13 ? 8 : 16;
        return options.Compat ? channels - channels % lanes : channels;
    }

    /// <summary>Null where bytes are copied.</summary>
    private (ByteTable? Vector, ByteTable? Tail) Tables(QParams input, bool nhwc)
    {
        Known[] seen = known;
        foreach (Known k in seen)
        {
            if (k.ChannelsLast == nhwc && OperatorChecks.SameParameters(k.Input, input))
                return (k.Vector, k.Tail);
        }
        (ByteTable? vector, ByteTable? tail) = Made(input, nhwc);
        // Another thread's may be lost; then they are made once more.
        known = [.. seen.TakeLast(MostKnown - 1), new Known(input, nhwc, vector, tail)];
        return (vector, tail);
    }

    private (ByteTable? Vector, ByteTable? Tail) Made(QParams input, bool nhwc)
    {
        if ((nhwc || engine == EngineKind.OnnxRuntime) && !options.Relu && OperatorChecks.SameParameters(input, OutputQParams))
            return (null, null);
        if (engine == EngineKind.OnnxRuntime)
        {
            ByteTable table = new(ElementwiseTables.Generic(input, OutputQParams, engine, options, v => v, v => options.Relu ? MathF.Max(v, 0f) : v).Vector);
            return (table, table);
        }
        var quantizer = new AtenQuantizer(OutputQParams, options);
        float[] reals = AtenQuantizer.VectorReals(input), plain = AtenQuantizer.ScalarReals(input);
        byte[] vector = new byte[256], tail = new byte[256];
        for (int i = 0; i < 256; i++)
        {
            tail[i] = quantizer.Scalar(options.Relu ? MathF.Max(plain[i], 0f) : plain[i]);
            vector[i] = nhwc ? quantizer.Vector(options.Relu ? MathF.Max(reals[i], 0f) : reals[i]) : tail[i];
        }
        // Parameters that are the same, or as good as.
        return IsIdentity(vector) && IsIdentity(tail) ? (null, null) : (new ByteTable(vector), new ByteTable(tail));
    }

    private static bool IsIdentity(byte[] table)
    {
        int i = 0;
        while (i < table.Length && table[i] == i)
            i++;
        return i == table.Length;
    }

    /// <summary>The tables for an input's parameters.</summary>
    private sealed record Known(QParams Input, bool ChannelsLast, ByteTable? Vector, ByteTable? Tail);
}
