using QuantPS.Engine.Kernels;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>Runs a binary kernel over the stretches of a broadcast, on all threads.</summary>
internal static class BinaryRuns
{
    private const int Least = 32 * 1024;

    /// <summary>Fills z from x and y; one of them may be a single integer that stands for all.</summary>
    public delegate void Kernel(ReadOnlySpan<byte> x, ReadOnlySpan<byte> y, Span<byte> z);

    /// <param name="broadcast">Of x and y.</param>
    /// <param name="x">First operand.</param>
    /// <param name="y">Second operand.</param>
    /// <param name="z">Receives the result.</param>
    /// <param name="vector">How much of every stretch goes through the first kernel.</param>
    /// <param name="kernel">For that much.</param>
    /// <param name="tail">For the rest; null where there is none.</param>
    public static void Run(Broadcast broadcast, QuantizedTensor x, QuantizedTensor y, QuantizedTensor z, int vector, Kernel kernel, Kernel? tail = null)
    {
        KernelThreads.Split(broadcast.Runs, Math.Max(1, Least / Math.Max(1, broadcast.Length)), new Work(broadcast, x, y, z, vector, kernel, tail ?? kernel));
    }

    private readonly struct Work(Broadcast broadcast, QuantizedTensor x, QuantizedTensor y, QuantizedTensor z, int vector, Kernel kernel, Kernel tail) : IKernelWork
    {
        public void Run(int from, int to)
        {
            (QuantizedTensor p, QuantizedTensor q, QuantizedTensor r, int split, Kernel first, Kernel second) = (x, y, z, vector, kernel, tail);
            broadcast.ForEachRun(from, to, (at, a, b, length, stepA, stepB) =>
            {
                ReadOnlySpan<byte> left = p.Bytes.Slice(a, stepA == 0 ? 1 : length), right = q.Bytes.Slice(b, stepB == 0 ? 1 : length);
                Span<byte> result = r.Bytes.Slice(at, length);
                if (split > 0)
                    first(stepA == 0 ? left : left[..split], stepB == 0 ? right : right[..split], result[..split]);
                if (split < length)
                    second(stepA == 0 ? left : left[split..], stepB == 0 ? right : right[split..], result[split..]);
            });
        }
    }
}
