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
        int[] spatial = geometry.OutputSize(input.Spatial);
        QuantizedTensor y = OperatorChecks.NewTensor(input.OutputShape(spatial), x.QParams, x);
        (int oD, int oH, int oW) = PoolInput.Three(spatial, 1);
        (int kD, int kH, int kW) = PoolInput.Three(geometry.Kernel, 1);
        (int sD, int sH, int sW) = PoolInput.Three(geometry.Stride, 1);
        (int pD, int pH, int pW) = PoolInput.Three(geometry.Padding, 0);
        (int tD, int tH, int tW) = PoolInput.Three(geometry.Dilation, 1);
        bool nearest = options is { Compat: true } && engine == EngineKind.Qnnpack && x.DType == QDType.QUInt8 && !geometry.CeilMode;
        byte flip = x.DType == QDType.QInt8 ? (byte)0x80 : (byte)0;
        int area = input.D * input.H * input.W, at = 0;
        for (int plane = 0; plane < input.Planes; plane++)
        {
            ReadOnlySpan<byte> from = x.Bytes.Slice(plane * area, area);
            for (int d = 0; d < oD; d++)
                for (int h = 0; h < oH; h++)
                    for (int w = 0; w < oW; w++)
                        y.Bytes[at++] = Largest(from, d * sD - pD, h * sH - pH, w * sW - pW);
        }
        return y;

        // qint8 bytes, flipped, are ordered as unsigned ones.
        byte Largest(ReadOnlySpan<byte> from, int d0, int h0, int w0)
        {
            int best = 0;
            for (int i = 0; i < kD; i++)
            {
                if (!Inside(d0 + i * tD, input.D, out int d))
                    continue;
                for (int j = 0; j < kH; j++)
                {
                    if (!Inside(h0 + j * tH, input.H, out int h))
                        continue;
                    for (int k = 0; k < kW; k++)
                    {
                        if (Inside(w0 + k * tW, input.W, out int w))
                            best = Math.Max(best, from[(d * input.H + h) * input.W + w] ^ flip);
                    }
                }
            }
            return (byte)(best ^ flip);
        }

        bool Inside(int position, int size, out int read)
        {
            read = nearest ? Math.Clamp(position, 0, size - 1) : position;
            return (uint)read < (uint)size;
        }
    }
}
