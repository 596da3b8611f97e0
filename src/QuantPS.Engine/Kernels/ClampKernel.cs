using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Kernels.Vector;
using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Kernels;

/// <summary>8-bit integers kept between two limits (ReLU, ReLU6, clip), on all threads. Any layout.</summary>
public static class ClampKernel
{
    private const int Least = 64 * 1024;

    /// <param name="x">8-bit integers.</param>
    /// <param name="y">Receives min(max(x, low), high), as many; may be x itself.</param>
    /// <param name="low">Lower limit, in the dtype's range.</param>
    /// <param name="high">Upper limit, in the dtype's range.</param>
    /// <param name="dtype">quint8 or qint8.</param>
    /// <exception cref="ArgumentException">The lengths differ, or another dtype.</exception>
    public static void Run(ReadOnlyMemory<byte> x, Memory<byte> y, int low, int high, QDType dtype)
    {
        if (x.Length != y.Length || !dtype.IsEightBit())
            throw new ArgumentException($"{x.Length} integers of {dtype.TorchName()} into {y.Length} bytes.");
        KernelThreads.Split(x.Length, Least, new Work(x, y, low, high, dtype == QDType.QInt8, KernelSelector.UsesVectors), Lanes.Wide);
    }

    private readonly struct Work(ReadOnlyMemory<byte> x, Memory<byte> y, int low, int high, bool signed, bool vectors) : IKernelWork
    {
        public void Run(int from, int to)
        {
            if (vectors)
                VectorClamp.Run(x.Span[from..to], y.Span[from..to], low, high, signed);
            else
                ReferenceClamp.Run(x.Span[from..to], y.Span[from..to], low, high, signed);
        }
    }
}
