using QuantPS.Engine.Errors;
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
/// </remarks>
public sealed class QuantizedAveragePool
{
    private readonly bool countIncludePad, channelsLast;
    private readonly int? divisorOverride;
    private readonly EngineKind engine;
    private readonly LayerOptions options;

    /// <param name="geometry">Window; dilation 1.</param>
    /// <param name="countIncludePad">Padding counts in the divisor.</param>
    /// <param name="divisorOverride">Divides by this instead.</param>
    /// <param name="channelsLast">The tensor lies in memory as a quantized convolution leaves it; false for row-major.</param>
    /// <param name="engine">Whose arithmetic.</param>
    /// <param name="options">Compat, PyTorch's version.</param>
    /// <exception cref="QuantException">InvalidArgument, UnsupportedOperator.</exception>
    public QuantizedAveragePool(PoolGeometry geometry, bool countIncludePad = true, int? divisorOverride = null, bool channelsLast = true, EngineKind engine = EngineKind.X86, LayerOptions? options = null)
    {
        OperatorChecks.TorchOnly(engine, "QuantizedAveragePool");
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
        int[] spatial = Geometry.OutputSize(input.Spatial);
        QuantizedTensor y = OperatorChecks.NewTensor(input.OutputShape(spatial), x.QParams, x);
        (int oD, int oH, int oW) = PoolInput.Three(spatial, 1);
        (int kD, int kH, int kW) = PoolInput.Three(Geometry.Kernel, 1);
        (int sD, int sH, int sW) = PoolInput.Three(Geometry.Stride, 1);
        (int pD, int pH, int pW) = PoolInput.Three(Geometry.Padding, 0);
        int zeroPoint = x.QParams.ZeroPoints[0];
        bool qnnpack = engine == EngineKind.Qnnpack && x.DType == QDType.QUInt8 && !Geometry.CeilMode && Geometry.SpatialRank < 3;
        bool nhwc = input.IsChannelsLast(channelsLast);
        var mean = new PoolMean(x.QParams, qnnpack, nhwc || Geometry.SpatialRank == 3, input.Channels, options, viaReciprocal: !nhwc);
        int at = 0;
        for (int plane = 0; plane < input.Planes; plane++)
        {
            for (int d = 0; d < oD; d++)
            {
                (int d0, int d1, int wholeD) = Window(d, sD, pD, kD, input.D);
                for (int h = 0; h < oH; h++)
                {
                    (int h0, int h1, int wholeH) = Window(h, sH, pH, kH, input.H);
                    for (int w = 0; w < oW; w++)
                    {
                        (int w0, int w1, int wholeW) = Window(w, sW, pW, kW, input.W);
                        int divisor = qnnpack ? kD * kH * kW
                            : divisorOverride ?? (countIncludePad ? wholeD * wholeH * wholeW : (d1 - d0) * (h1 - h0) * (w1 - w0));
                        y.Bytes[at++] = mean.Apply(input.Sum(plane, zeroPoint, d0, d1, h0, h1, w0, w1), divisor, plane % input.Channels);
                    }
                }
            }
        }
        return y;
    }

    /// <summary>The part of a window inside the input, and the window's size with padding.</summary>
    private static (int First, int End, int Whole) Window(int index, int stride, int pad, int kernel, int size)
    {
        int first = index * stride - pad, end = Math.Min(first + kernel, size + pad);
        return (Math.Max(first, 0), Math.Min(end, size), end - first);
    }
}
