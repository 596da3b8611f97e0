using QuantPS.Engine.Kernels;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>Largest integer of each window; parameters unchanged, padding never wins. PyTorch's max_pool1d, 2d, 3d on quantized tensors.</summary>
/// <remarks>
/// Source: aten/native/quantized/cpu/Pooling.cpp (qpool.cpp), kernels/QuantizedOpKernels.cpp qmaxpool_2d_nhwc_kernel. QNNPACK (quint8, without ceil mode)
/// does not skip the padding but reads the nearest pixel of the border instead (qnnpack/src/indirection.c pytorch_qnnp_indirection_init_maxpool2d):
/// the same as long as that pixel is in the window, which it need not be with a dilation. Compat mode reproduces that.
/// </remarks>
public sealed class QuantizedMaxPool(PoolGeometry geometry, EngineKind engine = EngineKind.X86, LayerOptions? options = null)
{
    public PoolGeometry Geometry => geometry;

    /// <summary>[N, C, spatial...] or [C, spatial...].</summary>
    /// <exception cref="Errors.QuantException">ShapeMismatch, UnsupportedDType.</exception>
    public QuantizedTensor Run(QuantizedTensor x)
    {
        var input = new PoolInput(x, geometry.SpatialRank, "Max pooling");
        PoolShape shape = PoolShape.Of(geometry, input.Spatial);
        Memory<byte> bytes = default;
        KernelLayout layout = input.HasBatch && x.TryGetChannelsLast(out bytes) ? KernelLayout.ChannelsLast : KernelLayout.Contiguous;
        QuantizedTensor y = OperatorChecks.NewTensor(input.OutputShape(geometry.OutputSize(input.Spatial)), x.QParams, x, layout, out Memory<byte> output);
        MaxPoolKernel.Run(layout == KernelLayout.ChannelsLast ? bytes : x.Memory, output, input.Batch, input.Channels, shape, x.DType, layout, ReadsNearest(x.DType));
        return y;
    }

    /// <summary>The same on bytes in either layout.</summary>
    /// <param name="x">8-bit integers, [N, C, spatial...] in the layout.</param>
    /// <param name="batch">N.</param>
    /// <param name="channels">C.</param>
    /// <param name="spatial">Spatial sizes, as many as the geometry has.</param>
    /// <param name="dtype">quint8 or qint8.</param>
    /// <param name="y">Receives [N, C, output spatial...] in the same layout.</param>
    /// <param name="layout">Of both.</param>
    /// <exception cref="Errors.QuantException">ShapeMismatch: the window does not fit.</exception>
    public void Run(ReadOnlyMemory<byte> x, int batch, int channels, int[] spatial, QDType dtype, Memory<byte> y, KernelLayout layout) =>
        MaxPoolKernel.Run(x, y, batch, channels, PoolShape.Of(geometry, spatial), dtype, layout, ReadsNearest(dtype));

    private bool ReadsNearest(QDType dtype) => options is { Compat: true } && engine == EngineKind.Qnnpack && dtype == QDType.QUInt8 && !geometry.CeilMode;
}
