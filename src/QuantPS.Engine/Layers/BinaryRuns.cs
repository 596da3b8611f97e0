using QuantPS.Engine.Kernels;

namespace QuantPS.Engine.Layers;

/// <summary>Runs a binary kernel over the stretches of a broadcast, on all threads.</summary>
internal static class BinaryRuns
{
    private const int Least = 32 * 1024;

    /// <summary>Fills z from x and y; one of them may be a single integer that stands for all.</summary>
    public delegate void Kernel(ReadOnlySpan<byte> x, ReadOnlySpan<byte> y, Span<byte> z);

    /// <param name="operands">What to combine.</param>
    /// <param name="vector">How much of every stretch goes through the first kernel.</param>
    /// <param name="kernel">For that much.</param>
    /// <param name="tail">For the rest; null where there is none.</param>
    public static void Run(in BinaryOperands operands, int vector, Kernel kernel, Kernel? tail = null) => KernelThreads.Split(operands.Broadcast.Runs,
        Math.Max(1, Least / Math.Max(1, operands.Broadcast.Length)), new Work(operands, vector, kernel, tail ?? kernel));

    private readonly struct Work(BinaryOperands operands, int vector, Kernel kernel, Kernel tail) : IKernelWork
    {
        public void Run(int from, int to)
        {
            (ReadOnlyMemory<byte> p, ReadOnlyMemory<byte> q, Memory<byte> r, int split, Kernel first, Kernel second) = (operands.X, operands.Y, operands.Z, vector, kernel, tail);
            operands.Broadcast.ForEachRun(from, to, (at, a, b, length, stepA, stepB) =>
            {
                ReadOnlySpan<byte> left = p.Span.Slice(a, stepA == 0 ? 1 : length), right = q.Span.Slice(b, stepB == 0 ? 1 : length);
                Span<byte> result = r.Span.Slice(at, length);
                if (split > 0)
                    first(stepA == 0 ? left : left[..split], stepB == 0 ? right : right[..split], result[..split]);
                if (split < length)
                    second(stepA == 0 ? left : left[split..], stepB == 0 ? right : right[split..], result[split..]);
            });
        }
    }
}
