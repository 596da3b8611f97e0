using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Kernels.Vector;
using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Kernels;

/// <summary>Global average pooling of 8-bit activations in either layout, on all threads.</summary>
public static class GlobalAveragePoolKernel
{
    private const int Least = 64 * 1024;

    /// <param name="x">[N, C, spatial...] in the layout.</param>
    /// <param name="y">Receives [N, C].</param>
    /// <param name="batch">N.</param>
    /// <param name="channels">C.</param>
    /// <param name="rule">The arithmetic and the area.</param>
    /// <param name="layout">Of the input.</param>
    /// <exception cref="ArgumentException">Lengths and sizes do not match, or a rule with one of PyTorch's rare defects.</exception>
    public static void Run(ReadOnlyMemory<byte> x, Memory<byte> y, int batch, int channels, in GlobalAverageRule rule, KernelLayout layout)
    {
        if (x.Length != batch * channels * rule.Area || y.Length != batch * channels)
            throw new ArgumentException($"{x.Length} and {y.Length} bytes for {batch} x {channels} planes of {rule.Area}.");
        if (rule.Output.Compat is not (QuantizeCompat.None or QuantizeCompat.Torch2PerTensor))
            throw new ArgumentException($"{rule.Output.Compat} has no global average pooling.");
        bool vectors = KernelSelector.UsesVectors;
        if (layout == KernelLayout.Contiguous)
            KernelThreads.Split(batch * channels, Math.Max(1, Least / Math.Max(1, rule.Area)), new Planes(x, y, rule, vectors), Lanes.Wide);
        else if (batch > 1)
            KernelThreads.Split(batch, Math.Max(1, Least / Math.Max(1, channels * rule.Area)), new Images(x, y, channels, rule, vectors));
        else
            KernelThreads.Split(channels, Math.Max(1, Least / Math.Max(1, rule.Area)), new Columns(x, y, channels, rule, vectors), Lanes.Wide);
    }

    private readonly struct Planes(ReadOnlyMemory<byte> x, Memory<byte> y, GlobalAverageRule rule, bool vectors) : IKernelWork
    {
        public void Run(int from, int to)
        {
            ReadOnlySpan<byte> planes = x.Span[(from * rule.Area)..(to * rule.Area)];
            if (vectors)
                VectorGlobalAveragePool.Planes(planes, y.Span[from..to], rule);
            else
                ReferenceGlobalAveragePool.Planes(planes, y.Span[from..to], rule);
        }
    }

    private readonly struct Images(ReadOnlyMemory<byte> x, Memory<byte> y, int channels, GlobalAverageRule rule, bool vectors) : IKernelWork
    {
        public void Run(int from, int to)
        {
            int size = channels * rule.Area;
            for (int n = from; n < to; n++)
                new Columns(x.Slice(n * size, size), y.Slice(n * channels, channels), channels, rule, vectors).Run(0, channels);
        }
    }

    private readonly struct Columns(ReadOnlyMemory<byte> x, Memory<byte> y, int channels, GlobalAverageRule rule, bool vectors) : IKernelWork
    {
        public void Run(int from, int to)
        {
            if (vectors)
                VectorGlobalAveragePool.Pixels(x.Span, y.Span[from..to], channels, from, rule);
            else
                ReferenceGlobalAveragePool.Pixels(x.Span, y.Span[from..to], channels, from, rule);
        }
    }
}
