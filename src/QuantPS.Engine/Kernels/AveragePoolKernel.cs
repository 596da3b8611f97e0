using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Kernels.Vector;

namespace QuantPS.Engine.Kernels;

/// <summary>Average pooling of 8-bit activations in either layout, on all threads. The layers that own the formulas call it.</summary>
internal static class AveragePoolKernel
{
    private const int Least = 16 * 1024;

    /// <param name="x">[N, C, spatial...] in the layout.</param>
    /// <param name="y">Receives [N, C, output spatial...] in the same layout.</param>
    /// <param name="batch">N.</param>
    /// <param name="channels">C.</param>
    /// <param name="shape">The windows.</param>
    /// <param name="rule">The arithmetic.</param>
    /// <param name="layout">Of both.</param>
    /// <exception cref="ArgumentException">Lengths and sizes do not match.</exception>
    public static void Run(ReadOnlyMemory<byte> x, Memory<byte> y, int batch, int channels, PoolShape shape, in AverageRule rule, KernelLayout layout)
    {
        if (x.Length != batch * channels * shape.InCount || y.Length != batch * channels * shape.OutCount)
            throw new ArgumentException($"{x.Length} and {y.Length} bytes for {batch} x {channels} times {shape.InCount} and {shape.OutCount} pixels.");
        bool vectors = x.Length > 0 && PoolTaps.Most(shape) <= PoolTaps.Limit && KernelSelector.UsesVectors;
        if (vectors && layout == KernelLayout.ChannelsLast)
            KernelThreads.Split(batch * shape.OutRows, Math.Max(1, Least / Math.Max(1, shape.W.Out * channels)), new Rows(x, y, channels, shape, rule));
        else if (vectors && batch * channels >= PlaneGroups.Least && rule.VectorChannels == int.MaxValue)
            PlaneGroups.Run(x, y, batch * channels, shape.InCount, shape.OutCount, new Planes(shape, rule));
        else
            KernelThreads.Split(batch, 1, new Scalar(x, y, channels, shape, rule, layout));
    }

    private readonly struct Scalar(ReadOnlyMemory<byte> x, Memory<byte> y, int channels, PoolShape shape, AverageRule rule, KernelLayout layout) : IKernelWork
    {
        public void Run(int from, int to)
        {
            int input = channels * shape.InCount, output = channels * shape.OutCount;
            for (int n = from; n < to; n++)
                ReferenceAveragePool.Run(x.Span.Slice(n * input, input), y.Span.Slice(n * output, output), shape, channels, rule, layout);
        }
    }

    private readonly struct Rows(ReadOnlyMemory<byte> x, Memory<byte> y, int channels, PoolShape shape, AverageRule rule) : IKernelWork
    {
        public void Run(int from, int to)
        {
            int rows = shape.OutRows, input = channels * shape.InCount, row = channels * shape.W.Out;
            while (from < to)
            {
                (int n, int first) = Math.DivRem(from, rows);
                int count = Math.Min(to - from, rows - first);
                VectorAveragePool.Run(x.Span.Slice(n * input, input), y.Span.Slice(from * row, count * row), shape, channels, rule, first, first + count);
                from += count;
            }
        }
    }

    private readonly struct Planes(PoolShape shape, AverageRule rule) : PlaneGroups.IPooling
    {
        // Planes of several images may stand side by side, but none of their channels has a factor of its own.
        public void Run(ReadOnlySpan<byte> x, Span<byte> y, int channels) => VectorAveragePool.Run(x, y, shape, channels, rule, 0, shape.OutRows);
    }
}
