using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Kernels.Vector;

namespace QuantPS.Engine.Kernels;

/// <summary>Layer normalization of sums of rows of 8-bit integers, on all threads.</summary>
internal static class NormalizedSumKernel
{
    private const int Least = 8 * 1024;

    /// <param name="a">Rows of 8-bit integers.</param>
    /// <param name="b">Rows of as many.</param>
    /// <param name="rowsOfA">Which row of a each row of the result takes; null where they go along.</param>
    /// <param name="rowsOfB">Which row of b each row of the result takes; null where they go along.</param>
    /// <param name="y">Receives the rows; may be an operand whose rows go along.</param>
    /// <param name="rule">The formula.</param>
    public static void Run(ReadOnlyMemory<byte> a, ReadOnlyMemory<byte> b, int[]? rowsOfA, int[]? rowsOfB, Memory<byte> y, NormalizedSumRule rule) =>
        KernelThreads.Split(y.Length / rule.Length, Math.Max(1, Least / rule.Length), new Work(a, b, rowsOfA, rowsOfB, y, rule, KernelSelector.UsesVectors));

    private readonly struct Work(ReadOnlyMemory<byte> a, ReadOnlyMemory<byte> b, int[]? rowsOfA, int[]? rowsOfB, Memory<byte> y, NormalizedSumRule rule, bool vectors) : IKernelWork
    {
        public unsafe void Run(int from, int to)
        {
            int length = rule.Length;
            Span<float> sums = new(Scratch.Get((long)length * sizeof(float)), length);
            for (int row = from; row < to; row++)
            {
                ReadOnlySpan<byte> first = a.Span.Slice((rowsOfA?[row] ?? row) * length, length), second = b.Span.Slice((rowsOfB?[row] ?? row) * length, length);
                Span<byte> target = y.Span.Slice(row * length, length);
                if (vectors)
                    VectorNormalizedSum.Run(first, second, sums, target, rule);
                else
                    ReferenceNormalizedSum.Run(first, second, sums, target, rule);
            }
        }
    }
}
