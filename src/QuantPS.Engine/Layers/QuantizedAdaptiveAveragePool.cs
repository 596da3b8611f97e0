using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>Average pooling to a given output size; parameters unchanged. PyTorch's adaptive_avg_pool1d, 2d, 3d on quantized tensors; size 1 is global average pooling.</summary>
/// <remarks>
/// Window i of o covers [floor(i * size / o), ceil((i + 1) * size / o)). Source: aten/native/quantized/cpu/AdaptiveAveragePooling.cpp.
/// Channels last (kernels/QuantizedOpKernels.cpp _qadaptive_avg_pool_kernel): rne(f32(sum of (x - z)) * (1 / (1 / f32(1/n)))) + z;
/// row-major (adaptive_avg_pool_single_out_frame): rne(f32(sum of x) * f32(f32(1/kD) / kH) / kW)), without the zero point;
/// QNNPACK, quint8, 2-D, where the sizes divide evenly and differ: its average pooling, see <see cref="QuantizedAveragePool"/>.
/// </remarks>
public sealed class QuantizedAdaptiveAveragePool
{
    private readonly int[] outputSize;
    private readonly bool channelsLast;
    private readonly EngineKind engine;
    private readonly LayerOptions options;

    /// <param name="outputSize">Spatial size of the output, 1 to 3 numbers.</param>
    /// <param name="channelsLast">The tensor lies in memory as a quantized convolution leaves it; false for row-major.</param>
    /// <param name="engine">Whose arithmetic.</param>
    /// <param name="options">Compat, PyTorch's version.</param>
    /// <exception cref="QuantException">InvalidArgument, UnsupportedOperator.</exception>
    public QuantizedAdaptiveAveragePool(int[] outputSize, bool channelsLast = true, EngineKind engine = EngineKind.X86, LayerOptions? options = null)
    {
        OperatorChecks.TorchOnly(engine, "QuantizedAdaptiveAveragePool");
        if (outputSize.Length is 0 or > 3 || outputSize.Any(s => s < 1))
            throw new QuantException(ErrorIds.InvalidArgument, $"The output size [{TensorShape.Format(outputSize)}] must be 1 to 3 numbers of at least 1.");
        this.outputSize = outputSize;
        this.channelsLast = channelsLast;
        this.engine = engine;
        this.options = options ?? new LayerOptions();
    }

    /// <summary>[N, C, spatial...] or [C, spatial...].</summary>
    /// <exception cref="QuantException">ShapeMismatch, UnsupportedDType.</exception>
    public QuantizedTensor Run(QuantizedTensor x)
    {
        var input = new PoolInput(x, outputSize.Length, "Adaptive average pooling");
        QuantizedTensor y = OperatorChecks.NewTensor(input.OutputShape(outputSize), x.QParams, x);
        (int oD, int oH, int oW) = PoolInput.Three(outputSize, 1);
        bool qnnpack = engine == EngineKind.Qnnpack && x.DType == QDType.QUInt8 && outputSize.Length < 3
            && !(input.H == oH && input.W == oW) && input.H % oH == 0 && input.W % oW == 0;
        bool nhwc = input.IsChannelsLast(channelsLast);
        var mean = new PoolMean(x.QParams, qnnpack, nhwc, input.Channels, options, viaReciprocal: true);
        int zeroPoint = qnnpack || nhwc ? x.QParams.ZeroPoints[0] : 0;
        int at = 0;
        for (int plane = 0; plane < input.Planes; plane++)
        {
            for (int d = 0; d < oD; d++)
            {
                (int d0, int d1) = Window(d, oD, input.D);
                for (int h = 0; h < oH; h++)
                {
                    (int h0, int h1) = Window(h, oH, input.H);
                    for (int w = 0; w < oW; w++)
                    {
                        (int w0, int w1) = Window(w, oW, input.W);
                        int sum = input.Sum(plane, zeroPoint, d0, d1, h0, h1, w0, w1);
                        y.Bytes[at++] = qnnpack || nhwc
                            ? mean.Apply(sum, (d1 - d0) * (h1 - h0) * (w1 - w0), plane % input.Channels)
                            : unchecked((byte)(int)Rounding.HalfToEven(sum * (1f / (d1 - d0) / (h1 - h0) / (w1 - w0))));
                    }
                }
            }
        }
        return y;
    }

    // In float32, as PyTorch computes it.
    private static (int First, int End) Window(int index, int count, int size) =>
        ((int)MathF.Floor((float)(index * size) / count), (int)MathF.Ceiling((float)((index + 1) * size) / count));
}
