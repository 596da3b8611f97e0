using System.Runtime.InteropServices;
using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Kernels.Vector;
using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Kernels;

/// <summary>8-bit and 32-bit integers to float32 by one scale and zero point, on all threads.</summary>
public static class DequantizeKernel
{
    private const int Least = 16 * 1024;

    /// <param name="q">Integers, little-endian.</param>
    /// <param name="dtype">quint8, qint8 or qint32.</param>
    /// <param name="y">Receives as many real values.</param>
    /// <param name="scale">Of all of them.</param>
    /// <param name="zeroPoint">Of all of them.</param>
    /// <exception cref="ArgumentException">The lengths differ, or another dtype.</exception>
    public static void Run(ReadOnlyMemory<byte> q, QDType dtype, Memory<float> y, float scale, int zeroPoint)
    {
        if (!Takes(dtype) || q.Length != dtype.ByteCount(y.Length))
            throw new ArgumentException($"{q.Length} bytes for {y.Length} integers of {dtype.TorchName()}.");
        KernelThreads.Split(y.Length, Least, new Work(q, dtype, y, scale, zeroPoint, KernelSelector.UsesVectors), Lanes.Wide);
    }

    /// <summary>Per channel: parameters change every so many values.</summary>
    /// <param name="q">[outer, channels, inner].</param>
    /// <param name="qparams">A scale and a zero point a channel.</param>
    /// <param name="y">Receives as many real values.</param>
    /// <param name="channels">How many.</param>
    /// <param name="inner">Values of a channel side by side.</param>
    internal static void Run(ReadOnlyMemory<byte> q, QParams qparams, Memory<float> y, int channels, int inner)
    {
        if (inner > 0)
            KernelThreads.Split(y.Length / inner, Math.Max(1, Least / inner), new ChannelWork(q, qparams, y, channels, inner, KernelSelector.UsesVectors));
    }

    /// <summary>True for the dtypes that have a kernel.</summary>
    internal static bool Takes(QDType dtype) => dtype.IsEightBit() || dtype == QDType.QInt32;

    /// <summary>The same on the calling thread.</summary>
    internal static void Run(ReadOnlySpan<byte> q, QDType dtype, Span<float> y, float scale, int zeroPoint, bool vectors)
    {
        switch (dtype.IsEightBit(), vectors)
        {
            case (true, true): VectorDequantize.Run(q, dtype == QDType.QInt8, y, scale, zeroPoint); break;
            case (true, false): ReferenceDequantize.Run(q, dtype == QDType.QInt8, y, scale, zeroPoint); break;
            case (false, true): VectorDequantize.Run(MemoryMarshal.Cast<byte, int>(q), y, scale, zeroPoint); break;
            default: ReferenceDequantize.Run(MemoryMarshal.Cast<byte, int>(q), y, scale, zeroPoint); break;
        }
    }

    private readonly struct Work(ReadOnlyMemory<byte> q, QDType dtype, Memory<float> y, float scale, int zeroPoint, bool vectors) : IKernelWork
    {
        public void Run(int from, int to)
        {
            int bytes = dtype.Bits() / 8;
            DequantizeKernel.Run(q.Span[(from * bytes)..(to * bytes)], dtype, y.Span[from..to], scale, zeroPoint, vectors);
        }
    }

    private readonly struct ChannelWork(ReadOnlyMemory<byte> q, QParams qparams, Memory<float> y, int channels, int inner, bool vectors) : IKernelWork
    {
        public void Run(int from, int to)
        {
            int bytes = qparams.DType.Bits() / 8 * inner;
            for (int block = from; block < to; block++)
            {
                int c = block % channels;
                DequantizeKernel.Run(q.Span.Slice(block * bytes, bytes), qparams.DType, y.Span.Slice(block * inner, inner), qparams.Scales[c], qparams.ZeroPoints[c], vectors);
            }
        }
    }
}
