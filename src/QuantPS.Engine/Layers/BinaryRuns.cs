using System.Buffers;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Kernels.Vector;

namespace QuantPS.Engine.Layers;

/// <summary>Runs a binary kernel over the stretches of a broadcast, on all threads.</summary>
internal static class BinaryRuns
{
    private const int Least = 32 * 1024;

    // Values per channel are repeated until they are about as long.
    private const int RowBytes = 4096;

    /// <summary>Fills z from x and y; one of them may be a single integer that stands for all.</summary>
    public delegate void Kernel(ReadOnlySpan<byte> x, ReadOnlySpan<byte> y, Span<byte> z);

    /// <param name="operands">What to combine.</param>
    /// <param name="vector">How much of every stretch goes through the first kernel.</param>
    /// <param name="kernel">For that much.</param>
    /// <param name="tail">For the rest; null where there is none.</param>
    public static void Run(in BinaryOperands operands, int vector, Kernel kernel, Kernel? tail = null)
    {
        Broadcast broadcast = operands.Broadcast;
        bool alike = tail is null || vector == 0 || vector == broadcast.Length;
        if (alike && broadcast.Length < RowBytes && broadcast.RowsOfPixels() is var (images, pixels, channels, secondIsRow))
            RunRows(operands, images, pixels, channels, secondIsRow, vector == 0 ? tail ?? kernel : kernel);
        else if (alike && broadcast.Runs == 1)
            KernelThreads.Split(broadcast.Length, Least, new Stretch(operands, vector == 0 ? tail ?? kernel : kernel), Lanes.Wide);
        else
            KernelThreads.Split(broadcast.Runs, Math.Max(1, Least / Math.Max(1, broadcast.Length)), new Work(operands, vector, kernel, tail ?? kernel));
    }

    /// <summary>A value per channel against whole images: repeated for as many pixels as make a stretch of some length, which is then combined in one go.</summary>
    private static void RunRows(in BinaryOperands operands, int images, int pixels, int channels, bool secondIsRow, Kernel kernel)
    {
        int atOnce = Math.Min(pixels, (RowBytes + channels - 1) / channels), length = atOnce * channels;
        byte[] rows = ArrayPool<byte>.Shared.Rent(length);
        for (int n = 0; n < images; n++)
        {
            ReadOnlySpan<byte> row = (secondIsRow ? operands.Y : operands.X).Span.Slice(n * channels, channels);
            for (int p = 0; p < atOnce; p++)
                row.CopyTo(rows.AsSpan(p * channels));
            int at = n * pixels * channels;
            KernelThreads.Split((pixels + atOnce - 1) / atOnce, Math.Max(1, Least / length),
                new Rows((secondIsRow ? operands.X : operands.Y).Slice(at, pixels * channels), rows.AsMemory(0, length), operands.Z.Slice(at, pixels * channels), secondIsRow, kernel));
        }
        ArrayPool<byte>.Shared.Return(rows);
    }

    /// <summary>A single stretch, shared out.</summary>
    private readonly struct Stretch(BinaryOperands operands, Kernel kernel) : IKernelWork
    {
        public void Run(int from, int to) => kernel(Part(operands.X, from, to), Part(operands.Y, from, to), operands.Z.Span[from..to]);

        private static ReadOnlySpan<byte> Part(ReadOnlyMemory<byte> operand, int from, int to) => operand.Length == 1 ? operand.Span : operand.Span[from..to];
    }

    private readonly struct Rows(ReadOnlyMemory<byte> image, ReadOnlyMemory<byte> rows, Memory<byte> result, bool secondIsRow, Kernel kernel) : IKernelWork
    {
        public void Run(int from, int to)
        {
            for (int i = from; i < to; i++)
            {
                int at = i * rows.Length, length = Math.Min(rows.Length, image.Length - at);
                ReadOnlySpan<byte> part = image.Span.Slice(at, length), row = rows.Span[..length];
                if (secondIsRow)
                    kernel(part, row, result.Span.Slice(at, length));
                else
                    kernel(row, part, result.Span.Slice(at, length));
            }
        }
    }

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
