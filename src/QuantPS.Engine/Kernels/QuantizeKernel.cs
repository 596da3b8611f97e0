using System.Runtime.InteropServices;
using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Kernels.Vector;
using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Kernels;

/// <summary>float32 to integers by one rule, on all threads.</summary>
public static class QuantizeKernel
{
    // 64 KB of floats: a second thread would not help with less.
    private const int Least = 16 * 1024;

    // Shorter stretches than this are not worth a vector.
    private const int LeastInner = 8;

    /// <param name="x">Real values.</param>
    /// <param name="y">Receives as many integers, little-endian; 8, 16 or 32 bits each as the rule's dtype says.</param>
    /// <param name="rule">Scale, zero point, dtype, whose arithmetic.</param>
    /// <exception cref="ArgumentException">The lengths differ, or a 4-bit dtype.</exception>
    public static void Run(ReadOnlyMemory<float> x, Memory<byte> y, in QuantizeRule rule)
    {
        if (rule.DType.Bits() < 8 || y.Length != rule.DType.ByteCount(x.Length))
            throw new ArgumentException($"{y.Length} bytes for {x.Length} integers of {rule.DType.TorchName()}.");
        KernelThreads.Split(x.Length, Least, new Work(x, y, rule, KernelSelector.UsesVectors), Lanes.Wide);
    }

    /// <summary>Per channel: parameters change every so many values.</summary>
    /// <param name="x">[outer, channels, inner].</param>
    /// <param name="y">Receives as many integers.</param>
    /// <param name="qparams">A scale and a zero point a channel, at least 8 bits.</param>
    /// <param name="channels">How many.</param>
    /// <param name="inner">Values of a channel side by side.</param>
    /// <param name="divides">ONNX's rule.</param>
    /// <param name="compat">PyTorch's kernel.</param>
    internal static void Run(ReadOnlyMemory<float> x, Memory<byte> y, QParams qparams, int channels, int inner, bool divides, QuantizeCompat compat)
    {
        if (inner > 0)
        {
            KernelThreads.Split(x.Length / inner, Math.Max(1, Least / inner), new ChannelWork(x, y, qparams, channels, inner, divides, compat, inner >= LeastInner && KernelSelector.UsesVectors));
        }
    }

    /// <summary>The same on the calling thread.</summary>
    internal static void Run(ReadOnlySpan<float> x, Span<byte> y, in QuantizeRule rule, bool vectors)
    {
        switch (rule.DType.Bits(), vectors)
        {
            case (32, true): VectorQuantize.Run(x, MemoryMarshal.Cast<byte, int>(y), rule); break;
            case (32, false): ReferenceQuantize.Run(x, MemoryMarshal.Cast<byte, int>(y), rule); break;
            case (16, _): ReferenceQuantize.Run(x, MemoryMarshal.Cast<byte, short>(y), rule); break;
            case (_, true): VectorQuantize.Run(x, y, rule); break;
            default: ReferenceQuantize.Run(x, y, rule); break;
        }
    }

    private readonly struct Work(ReadOnlyMemory<float> x, Memory<byte> y, QuantizeRule rule, bool vectors) : IKernelWork
    {
        public void Run(int from, int to)
        {
            int bytes = rule.DType.Bits() / 8;
            QuantizeKernel.Run(x.Span[from..to], y.Span[(from * bytes)..(to * bytes)], rule, vectors);
        }
    }

    private readonly struct ChannelWork(ReadOnlyMemory<float> x, Memory<byte> y, QParams qparams, int channels, int inner, bool divides, QuantizeCompat compat, bool vectors) : IKernelWork
    {
        public void Run(int from, int to)
        {
            int bytes = qparams.DType.Bits() / 8 * inner;
            for (int block = from; block < to; block++)
            {
                int c = block % channels;
                var rule = new QuantizeRule(qparams.Scales[c], qparams.ZeroPoints[c], qparams.DType, divides, compat);
                QuantizeKernel.Run(x.Span.Slice(block * inner, inner), y.Span.Slice(block * bytes, bytes), rule, vectors);
            }
        }
    }
}
