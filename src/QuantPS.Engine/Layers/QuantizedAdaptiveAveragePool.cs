using QuantPS.Engine.Errors;
using QuantPS.Engine.Kernels;
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
        AveragePoolKernel.Run(x.Memory, y.Memory, input.Batch, input.Channels, PoolShape.Adaptive(input.Spatial, outputSize),
            Rule(x.QParams, input.Channels, input.Spatial, input.IsChannelsLast(channelsLast)), KernelLayout.Contiguous);
        return y;
    }

    /// <summary>The same on bytes in either layout. Which of PyTorch's formulas counts is what the layer was told, not where the bytes lie.</summary>
    /// <param name="x">8-bit integers, [N, C, spatial...] in the layout.</param>
    /// <param name="batch">N.</param>
    /// <param name="channels">C.</param>
    /// <param name="spatial">Spatial sizes, as many as the output has.</param>
    /// <param name="qparams">Of input and output.</param>
    /// <param name="y">Receives [N, C, output spatial...] in the same layout.</param>
    /// <param name="layout">Of both.</param>
    public void Run(ReadOnlyMemory<byte> x, int batch, int channels, int[] spatial, QParams qparams, Memory<byte> y, KernelLayout layout) =>
        AveragePoolKernel.Run(x, y, batch, channels, PoolShape.Adaptive(spatial, outputSize),
            Rule(qparams, channels, spatial, channelsLast || channels == 1 || TensorShape.Count(spatial) == 1), layout);

    private AverageRule Rule(QParams p, int channels, int[] spatial, bool nhwc)
    {
        bool even = !spatial.AsSpan().SequenceEqual(outputSize) && spatial.Zip(outputSize).All(s => s.First % s.Second == 0);
        if (engine == EngineKind.Qnnpack && p.DType == QDType.QUInt8 && outputSize.Length < 3 && even)
            return new AverageRule(p, AverageForm.Qnnpack, AverageDivisor.Inside, 0, channels, options);
        return nhwc
            ? new AverageRule(p, AverageForm.ReciprocalFactor, AverageDivisor.Inside, 0, channels, options)
            : new AverageRule(p, AverageForm.Raw, AverageDivisor.ByDimension, 0, channels, options);
    }
}
