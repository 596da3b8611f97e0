using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>Joins quantized tensors along a dimension, each requantized to the output's parameters: PyTorch's quantized::cat, cat_relu and FloatFunctional.cat.</summary>
/// <remarks>
/// Source: aten/native/quantized/cpu/qconcat.cpp (TensorShape.cpp in newer versions) quantized_cat_impl: dequantize, join, quantize; ReLU: max(q, z_y).
/// Channels-last images joined along the channels take kernels/QuantizedOpKernels.cpp qcat_nhwc_kernel: a tensor that has the output's parameters is
/// copied, the others go through the vectorized formula of <see cref="AtenQuantizer"/>; in compat mode the channels behind the last multiple of 8
/// (32, 16 with AVX-512) follow the scalar one. Both are the same but for near-ties. All engines agree.
/// </remarks>
public sealed class QuantizedConcat
{
    private readonly LayerOptions options;
    private readonly int dim;
    private readonly bool channelsLast;

    /// <param name="output">8-bit parameters of the result.</param>
    /// <param name="dim">Dimension to join along; negative ones count from the end.</param>
    /// <param name="channelsLast">The tensors lie in memory as a quantized convolution leaves them, which decides between two kernels of PyTorch for 4-D, dim 1.</param>
    /// <param name="engine">All of PyTorch's engines agree; onnxruntime is refused.</param>
    /// <param name="options">ReLU, compat.</param>
    /// <exception cref="QuantException">UnsupportedDType.</exception>
    public QuantizedConcat(QParams output, int dim = 1, bool channelsLast = true, EngineKind engine = EngineKind.X86, LayerOptions? options = null)
    {
        OperatorChecks.EightBit(output, "The result");
        OperatorChecks.TorchOnly(engine, "QuantizedConcat");
        OutputQParams = output;
        this.dim = dim;
        this.channelsLast = channelsLast;
        this.options = options ?? new LayerOptions();
    }

    public QParams OutputQParams { get; }

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
            OperatorChecks.EightBit(t.QParams, "A tensor to join");
            OperatorChecks.SameDType(t.QParams, OutputQParams, "Joining");
            int[] other = t.Shape;
            if (other.Length == shape.Length)
            {
                shape[axis] += other[axis];
                other[axis] = shape[axis];
            }
            if (!other.AsSpan().SequenceEqual(shape))
                throw new QuantException(ErrorIds.ShapeMismatch, $"[{TensorShape.Format(t.Dims)}] cannot be joined to [{TensorShape.Format(tensors[0].Dims)}] along dimension {axis}: all others must agree.", t);
        }
        QuantizedTensor y = OperatorChecks.NewTensor(shape, OutputQParams, tensors[0]);
        (int outer, int joined, int inner) = TensorShape.Split(shape, axis);
        bool nhwc = channelsLast && shape.Length == 4 && axis == 1;
        int start = 0;
        foreach (QuantizedTensor t in tensors)
        {
            int size = t.Dims[axis];
            (byte[] vector, byte[] tail) = Tables(t.QParams, nhwc);
            for (int o = 0; o < outer; o++)
            {
                for (int c = 0; c < size; c++)
                {
                    byte[] table = c < VectorChannels(size) ? vector : tail;
                    ReadOnlySpan<byte> from = t.Bytes.Slice((o * size + c) * inner, inner);
                    Span<byte> to = y.Bytes.Slice((o * joined + start + c) * inner, inner);
                    for (int i = 0; i < inner; i++)
                        to[i] = table[from[i]];
                }
            }
            start += size;
        }
        return y;
    }

    private int VectorChannels(int channels)
    {
        int lanes = options.TorchVersion == TorchVersion.V1_13 ? 8 : 16;
        return options.Compat ? channels - channels % lanes : channels;
    }

    private (byte[] Vector, byte[] Tail) Tables(QParams input, bool nhwc)
    {
        if (nhwc && !options.Relu && OperatorChecks.SameParameters(input, OutputQParams))
        {
            byte[] copy = ElementwiseTables.Direct(input, OutputQParams, q => q).Vector;
            return (copy, copy);
        }
        var quantizer = new AtenQuantizer(OutputQParams, options);
        float[] reals = AtenQuantizer.VectorReals(input), plain = AtenQuantizer.ScalarReals(input);
        byte[] vector = new byte[256], tail = new byte[256];
        for (int i = 0; i < 256; i++)
        {
            tail[i] = quantizer.Scalar(options.Relu ? MathF.Max(plain[i], 0f) : plain[i]);
            vector[i] = nhwc ? quantizer.Vector(options.Relu ? MathF.Max(reals[i], 0f) : reals[i]) : tail[i];
        }
        return (vector, tail);
    }
}
