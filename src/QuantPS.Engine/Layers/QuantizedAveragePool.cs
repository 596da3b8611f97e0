using QuantPS.Engine.Errors;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>Mean of each window; parameters unchanged. PyTorch's avg_pool1d, 2d, 3d on quantized tensors.</summary>
/// <remarks>
/// Sums (x - z) in int32, padding adding nothing; n is the divisor. Several formulas, which differ on ties:
/// channels last, as quantized convolutions hand on (kernels/QuantizedOpKernels.cpp _qavg_pool_nhwc_kernel): rne(f32(sum) * f32(1/n)) + z; in compat
/// mode the channels behind the last multiple of 8 (16 with AVX-512) use the reciprocal of the reciprocal of f32(1/n);
/// row-major, 1-D and 2-D (AveragePool2d.cpp avg_pool2d_out_frame): rne(f32(sum) * f32(1/n) + z), the zero point before rounding;
/// row-major, 3-D (AveragePool3d.cpp avg_pool3d_out_frame): rne(f32(sum) * (1 / (1 / f32(1/n)))) + z;
/// QNNPACK, quint8, without ceil mode (qnnpack/src/average-pooling.c): rne(f32(sum) * (s / (s * f32(n)))) + z, where n is always the whole
/// window: count_include_pad and divisor_override are not looked at.
/// onnxruntime: the result has parameters of its own, rne(r / n / s_y + z_y), where r is the sum of the dequantized pixels in their order, each step in
/// float32: what QLinearAveragePool computes, which ONNX Runtime makes of DequantizeLinear, AveragePool, QuantizeLinear; of qint8 as of the quint8 128 higher.
/// Where the window is the whole image it takes rne(f32(sum) * (s / (s_y * n))) + z_y, as for global pooling.
/// </remarks>
public sealed class QuantizedAveragePool
{
    private readonly bool countIncludePad, channelsLast;
    private readonly int? divisorOverride;
    private readonly EngineKind engine;
    private readonly LayerOptions options;
    private readonly QParams? output;

    /// <param name="geometry">Window; dilation 1.</param>
    /// <param name="countIncludePad">Padding counts in the divisor.</param>
    /// <param name="divisorOverride">Divides by this instead.</param>
    /// <param name="channelsLast">The tensor lies in memory as a quantized convolution leaves it; false for row-major.</param>
    /// <param name="engine">Whose arithmetic.</param>
    /// <param name="options">Compat, PyTorch's version.</param>
    /// <param name="output">8-bit parameters of the result; for the engine onnxruntime, and only there.</param>
    /// <exception cref="QuantException">InvalidArgument, UnsupportedOperator.</exception>
    public QuantizedAveragePool(PoolGeometry geometry, bool countIncludePad = true, int? divisorOverride = null, bool channelsLast = true, EngineKind engine = EngineKind.X86, LayerOptions? options = null,
        QParams? output = null)
    {
        if (output is null)
            OperatorChecks.TorchOnly(engine, "QuantizedAveragePool without parameters of the result");
        else if (engine != EngineKind.OnnxRuntime)
            throw new QuantException(ErrorIds.InvalidArgument, "In PyTorch the result of an average pool has its input's parameters. Leave out the output's.");
        else
            OperatorChecks.EightBit(output, "The mean");
        this.output = output;
        if (Array.Exists(geometry.Dilation, d => d != 1))
            throw new QuantException(ErrorIds.InvalidArgument, "Average pooling has no dilation.");
        if (divisorOverride == 0)
            throw new QuantException(ErrorIds.InvalidArgument, "The divisor of an average pool must not be 0.");
        Geometry = geometry;
        this.countIncludePad = countIncludePad;
        this.divisorOverride = divisorOverride;
        this.channelsLast = channelsLast;
        this.engine = engine;
        this.options = options ?? new LayerOptions();
    }

    public PoolGeometry Geometry { get; }

    /// <summary>[N, C, spatial...] or [C, spatial...].</summary>
    /// <exception cref="QuantException">ShapeMismatch, UnsupportedDType.</exception>
    public QuantizedTensor Run(QuantizedTensor x)
    {
        var input = new PoolInput(x, Geometry.SpatialRank, "Average pooling");
        if (output is not null)
            OperatorChecks.SameDType(x.QParams, output, "Average pooling");
        // Where the bytes lie does not decide on the formula, but the last channels may have one of their own.
        Memory<byte> bytes = default;
        KernelLayout layout = input.HasBatch && !options.Compat && x.TryGetChannelsLast(out bytes) ? KernelLayout.ChannelsLast : KernelLayout.Contiguous;
        QuantizedTensor y = OperatorChecks.NewTensor(input.OutputShape(Geometry.OutputSize(input.Spatial)), output ?? x.QParams, x, layout, out Memory<byte> means);
        AveragePoolKernel.Run(layout == KernelLayout.ChannelsLast ? bytes : x.Memory, means, input.Batch, input.Channels, PoolShape.Of(Geometry, input.Spatial),
            Rule(x.QParams, input.Channels, input.IsChannelsLast(channelsLast), input.Spatial), layout);
        return y;
    }

    /// <summary>The same on bytes in either layout. Which of PyTorch's formulas counts is what the layer was told, not where the bytes lie.</summary>
    /// <param name="x">8-bit integers, [N, C, spatial...] in the layout.</param>
    /// <param name="batch">N.</param>
    /// <param name="channels">C.</param>
    /// <param name="spatial">Spatial sizes, as many as the geometry has.</param>
    /// <param name="qparams">Of input and output.</param>
    /// <param name="y">Receives [N, C, output spatial...] in the same layout.</param>
    /// <param name="layout">Of both.</param>
    /// <exception cref="QuantException">ShapeMismatch: the window does not fit.</exception>
    public void Run(ReadOnlyMemory<byte> x, int batch, int channels, int[] spatial, QParams qparams, Memory<byte> y, KernelLayout layout) =>
        AveragePoolKernel.Run(x, y, batch, channels, PoolShape.Of(Geometry, spatial),
            Rule(qparams, channels, channelsLast || channels == 1 || TensorShape.Count(spatial) == 1, spatial), layout);

    private AverageRule Rule(QParams p, int channels, bool nhwc, ReadOnlySpan<int> spatial)
    {
        bool qnnpack = engine == EngineKind.Qnnpack && p.DType == QDType.QUInt8 && !Geometry.CeilMode && Geometry.SpatialRank < 3;
        AverageForm form = qnnpack ? AverageForm.Qnnpack
            : nhwc ? AverageForm.Factor
            : Geometry.SpatialRank == 3 ? AverageForm.ReciprocalFactor
            : AverageForm.ZeroPointInside;
        if (qnnpack)
            return new AverageRule(p, form, AverageDivisor.Fixed, TensorShape.Count(Geometry.Kernel), channels, options);
        if (engine == EngineKind.OnnxRuntime)
            form = spatial.SequenceEqual(Geometry.Kernel) && Array.TrueForAll(Geometry.Padding, v => v == 0) && Array.TrueForAll(Geometry.PaddingEnd, v => v == 0) ? AverageForm.OnnxWhole : AverageForm.Onnx;
        AverageDivisor divisor = divisorOverride is not null ? AverageDivisor.Fixed : countIncludePad ? AverageDivisor.Whole : AverageDivisor.Inside;
        return new AverageRule(p, form, divisor, divisorOverride ?? 0, channels, options, output);
    }
}
