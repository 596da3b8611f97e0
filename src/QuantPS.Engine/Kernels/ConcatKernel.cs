using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using QuantPS.Engine.Kernels.Selection;

namespace QuantPS.Engine.Kernels;

/// <summary>Joins 8-bit tensors along a dimension, one at a time, each byte through a table if parameters change; on all threads.</summary>
public static class ConcatKernel
{
    private const int Least = 64 * 1024;

    // Stretches that a copy by the library costs more than the bytes do.
    private const int Short = 256;

    /// <param name="x">[outer, length].</param>
    /// <param name="y">[outer, pitch], of which the bytes from <paramref name="start"/> on are filled.</param>
    /// <param name="outer">Stretches.</param>
    /// <param name="length">Bytes of a stretch.</param>
    /// <param name="pitch">Bytes of a stretch of the result.</param>
    /// <param name="start">Where in it these bytes go.</param>
    /// <param name="table">What becomes of each byte; null to copy.</param>
    /// <exception cref="ArgumentException">Lengths and sizes do not match.</exception>
    public static void Run(ReadOnlyMemory<byte> x, Memory<byte> y, int outer, int length, int pitch, int start, ByteTable? table) => Run(x, y, outer, length, pitch, start, table, length, table);

    /// <summary>The same, with another table for the last bytes of every stretch.</summary>
    internal static void Run(ReadOnlyMemory<byte> x, Memory<byte> y, int outer, int length, int pitch, int start, ByteTable? table, int split, ByteTable? tail)
    {
        if (x.Length != outer * length || y.Length != outer * pitch || start < 0 || start + length > pitch)
            throw new ArgumentException($"{x.Length} bytes as {outer} x {length} into {y.Length} as {outer} x {pitch}, from {start} on.");
        if (split == length && length is > 0 and < Short && outer > 1)
        {
            RunShort(x, y, length, pitch, start, table);
            return;
        }
        if (outer == 1)
        {
            Part(x[..split], y.Slice(start, split), table);
            Part(x[split..], y.Slice(start + split, length - split), tail);
            return;
        }
        KernelThreads.Split(outer, Math.Max(1, Least / Math.Max(1, length)), new Work(x, y, length, pitch, start, table, split, tail, KernelSelector.UsesVectors));
    }

    /// <summary>Stretches of a few bytes, as the channels of pixels are: all through the table first, then copied.</summary>
    private static void RunShort(ReadOnlyMemory<byte> x, Memory<byte> y, int length, int pitch, int start, ByteTable? table)
    {
        byte[]? looked = null;
        if (table is not null)
        {
            looked = ArrayPool<byte>.Shared.Rent(x.Length);
            TableKernel.Run(x, looked.AsMemory(0, x.Length), table);
            x = looked.AsMemory(0, x.Length);
        }
        KernelThreads.Split(x.Length / length, Math.Max(1, Least / length), new Rows(x, y, length, pitch, start));
        if (looked is not null)
            ArrayPool<byte>.Shared.Return(looked);
    }

    private readonly struct Rows(ReadOnlyMemory<byte> x, Memory<byte> y, int length, int pitch, int start) : IKernelWork
    {
        /// <summary>16 bytes at a time; the last 16 of a row may overlap those before, which are the same.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run(int from, int to)
        {
            ReadOnlySpan<byte> source = x.Span.Slice(from * length, (to - from) * length);
            Span<byte> target = y.Span[(from * pitch)..((to - 1) * pitch + start + length)];
            ref byte p = ref MemoryMarshal.GetReference(source), q = ref Unsafe.Add(ref MemoryMarshal.GetReference(target), start);
            for (int row = from; row < to; row++)
            {
                if (length < 16)
                    Unsafe.CopyBlockUnaligned(ref q, ref p, (uint)length);
                else
                {
                    for (int i = 0; i < length - 16; i += 16)
                        Vector128.LoadUnsafe(ref p, (nuint)i).StoreUnsafe(ref q, (nuint)i);
                    Vector128.LoadUnsafe(ref p, (nuint)(length - 16)).StoreUnsafe(ref q, (nuint)(length - 16));
                }
                p = ref Unsafe.Add(ref p, length);
                q = ref Unsafe.Add(ref q, pitch);
            }
        }
    }

    private static void Part(ReadOnlyMemory<byte> x, Memory<byte> y, ByteTable? table)
    {
        if (table is null)
            x.CopyTo(y);
        else
            TableKernel.Run(x, y, table);
    }

    private readonly struct Work(ReadOnlyMemory<byte> x, Memory<byte> y, int length, int pitch, int start, ByteTable? table, int split, ByteTable? tail, bool vectors) : IKernelWork
    {
        private readonly ByteLines? lines = TableKernel.LinesFor(table, x.Length), tailLines = TableKernel.LinesFor(tail, x.Length);

        public void Run(int from, int to)
        {
            ReadOnlySpan<byte> source = x.Span;
            Span<byte> target = y.Span;
            for (int o = from; o < to; o++)
            {
                ReadOnlySpan<byte> stretch = source.Slice(o * length, length);
                Span<byte> result = target.Slice(o * pitch + start, length);
                Fill(stretch[..split], result[..split], table, lines);
                Fill(stretch[split..], result[split..], tail, tailLines);
            }
        }

        private void Fill(ReadOnlySpan<byte> stretch, Span<byte> result, ByteTable? entries, ByteLines? known)
        {
            if (entries is null)
                stretch.CopyTo(result);
            else
                TableKernel.Run(stretch, result, entries, known, vectors);
        }
    }
}
