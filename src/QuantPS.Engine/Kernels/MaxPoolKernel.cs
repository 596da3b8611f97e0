using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Kernels.Vector;
using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Kernels;

/// <summary>Max pooling of 8-bit activations in either layout, on all threads.</summary>
public static class MaxPoolKernel
{
    private const int Least = 32 * 1024;

    /// <param name="x">[N, C, spatial...] in the layout.</param>
    /// <param name="y">Receives [N, C, output spatial...] in the same layout.</param>
    /// <param name="batch">N.</param>
    /// <param name="channels">C.</param>
    /// <param name="shape">The windows.</param>
    /// <param name="dtype">quint8 or qint8.</param>
    /// <param name="layout">Of both.</param>
    /// <param name="nearest">Taps outside the input read the nearest pixel of its border, as QNNPACK's do; else they are skipped.</param>
    /// <exception cref="ArgumentException">Lengths and sizes do not match.</exception>
    public static void Run(ReadOnlyMemory<byte> x, Memory<byte> y, int batch, int channels, PoolShape shape, QDType dtype, KernelLayout layout, bool nearest = false)
    {
        if (x.Length != batch * channels * shape.InCount || y.Length != batch * channels * shape.OutCount || !dtype.IsEightBit())
            throw new ArgumentException($"{x.Length} and {y.Length} bytes of {dtype.TorchName()} for {batch} x {channels} times {shape.InCount} and {shape.OutCount} pixels.");
        bool signed = dtype == QDType.QInt8, vectors = !nearest && PoolTaps.Most(shape) <= PoolTaps.Limit && KernelSelector.UsesVectors;
        if (!vectors)
            KernelThreads.Split(batch, 1, new Scalar(x, y, channels, shape, signed, layout, nearest));
        else if (layout == KernelLayout.ChannelsLast)
            KernelThreads.Split(batch * shape.OutRows, Math.Max(1, Least / Math.Max(1, shape.W.Out * channels)), new Rows(x, y, channels, shape, signed));
        else if (batch * channels < PlaneGroups.Least)
            ReferenceMaxPool.Run(x.Span, y.Span, shape, batch * channels, signed, layout);
        else
            PlaneGroups.Run(x, y, batch * channels, shape.InCount, shape.OutCount, new Planes(shape, signed));
    }

    private readonly struct Scalar(ReadOnlyMemory<byte> x, Memory<byte> y, int channels, PoolShape shape, bool signed, KernelLayout layout, bool nearest) : IKernelWork
    {
        public void Run(int from, int to)
        {
            int input = channels * shape.InCount, output = channels * shape.OutCount;
            for (int n = from; n < to; n++)
                ReferenceMaxPool.Run(x.Span.Slice(n * input, input), y.Span.Slice(n * output, output), shape, channels, signed, layout, nearest);
        }
    }

    private readonly struct Rows(ReadOnlyMemory<byte> x, Memory<byte> y, int channels, PoolShape shape, bool signed) : IKernelWork
    {
        public void Run(int from, int to)
        {
            int rows = shape.OutRows, input = channels * shape.InCount, row = channels * shape.W.Out;
            while (from < to)
            {
                (int n, int first) = Math.DivRem(from, rows);
                int count = Math.Min(to - from, rows - first);
                VectorMaxPool.Run(x.Span.Slice(n * input, input), y.Span.Slice(from * row, count * row), shape, channels, signed, first, first + count);
                from += count;
            }
        }
    }

    private readonly struct Planes(PoolShape shape, bool signed) : PlaneGroups.IPooling
    {
        public void Run(ReadOnlySpan<byte> x, Span<byte> y, int channels) => VectorMaxPool.Run(x, y, shape, channels, signed, 0, shape.OutRows);
    }
}
