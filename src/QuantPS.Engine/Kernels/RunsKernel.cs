using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace QuantPS.Engine.Kernels;

/// <summary>Runs of neighbouring bytes in another order, on all threads: what moves elements without taking rows apart.</summary>
internal static class RunsKernel
{
    private const int Least = 64 * 1024, Lanes = 16;

    /// <inheritdoc cref="Run(ReadOnlyMemory{byte}, int, Memory{byte}, int[], int[], int)"/>
    public static void Run(ReadOnlyMemory<byte> x, Memory<byte> y, int[] sizes, int[] strides, int run) => Run(x, 0, y, sizes, strides, run);

    /// <param name="x">Where the runs are taken from.</param>
    /// <param name="start">Place of the first one.</param>
    /// <param name="y">Receives them one behind the other, row-major over the dimensions.</param>
    /// <param name="sizes">Dimensions over the runs, outermost first.</param>
    /// <param name="strides">What a step along each adds to the place in x; may be 0 or negative.</param>
    /// <param name="run">Bytes of a run.</param>
    public static void Run(ReadOnlyMemory<byte> x, int start, Memory<byte> y, int[] sizes, int[] strides, int run)
    {
        if (y.Length == 0)
            return;
        // Runs that lie one behind the other are one.
        int dims = sizes.Length;
        while (dims > 0 && (sizes[dims - 1] == 1 || strides[dims - 1] == run))
            run *= sizes[--dims];
        int count = y.Length / run;
        KernelThreads.Split(count, Math.Max(1, Least / run), new Work(x, start, y, sizes, strides, dims, run));
    }

    /// <summary>Runs at an even distance, one behind the other: y[i * run + j] = x[at + i * step + j].</summary>
    /// <param name="x">Where they are taken from.</param>
    /// <param name="at">Place of the first one.</param>
    /// <param name="step">From one to the next.</param>
    /// <param name="y">Receives them; as long as they are.</param>
    /// <param name="run">Bytes of a run.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Gather(ReadOnlySpan<byte> x, int at, int step, Span<byte> y, int run)
    {
        int count = y.Length / run;
        if (count == 0)
            return;
        // All others lie between the first and the last one.
        _ = x.Slice(at, run).Length + x.Slice(at + (count - 1) * step, run).Length;
        ref byte from = ref Unsafe.Add(ref MemoryMarshal.GetReference(x), at), to = ref MemoryMarshal.GetReference(y);
        switch (run)
        {
            case sizeof(byte):
                Elements<byte>(ref from, step, ref to, count);
                return;
            case sizeof(ushort):
                Elements<ushort>(ref from, step, ref to, count);
                return;
            case sizeof(uint):
                Elements<uint>(ref from, step, ref to, count);
                return;
            case sizeof(ulong):
                Elements<ulong>(ref from, step, ref to, count);
                return;
            case Lanes:
                Elements<Vector128<byte>>(ref from, step, ref to, count);
                return;
            case > Lanes and <= 2 * Lanes:
                // Two vectors, which overlap.
                nint place = 0;
                for (int i = 0; i < count; i++, place += step)
                {
                    ref byte one = ref Unsafe.Add(ref from, place), result = ref Unsafe.Add(ref to, i * run);
                    Vector128<byte> head = Vector128.LoadUnsafe(ref one), tail = Vector128.LoadUnsafe(ref one, (nuint)(run - Lanes));
                    head.StoreUnsafe(ref result);
                    tail.StoreUnsafe(ref result, (nuint)(run - Lanes));
                }
                return;
            case < Lanes:
                // A whole vector each, over what comes next; where that would end outside, exactly.
                int k = 0;
                for (; k < count && (k * run) + Lanes <= y.Length && at + Lanes <= x.Length; k++, at += step)
                    Vector128.LoadUnsafe(in x[at]).StoreUnsafe(ref y[k * run]);
                for (; k < count; k++, at += step)
                    x.Slice(at, run).CopyTo(y[(k * run)..]);
                return;
            default:
                for (int i = 0; i < count; i++, at += step)
                    x.Slice(at, run).CopyTo(y[(i * run)..]);
                return;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Elements<T>(ref byte from, int step, ref byte to, int count) where T : unmanaged
    {
        nint at = 0;
        for (int i = 0; i < count; i++, at += step)
            Unsafe.WriteUnaligned(ref Unsafe.Add(ref to, i * Unsafe.SizeOf<T>()), Unsafe.ReadUnaligned<T>(ref Unsafe.Add(ref from, at)));
    }

    private readonly struct Work(ReadOnlyMemory<byte> x, int start, Memory<byte> y, int[] sizes, int[] strides, int dims, int run) : IKernelWork
    {
        /// <summary>Runs [from, to) of y.</summary>
        public void Run(int from, int to)
        {
            ReadOnlySpan<byte> source = x.Span;
            Span<byte> target = y.Span;
            if (dims == 0)
            {
                source.Slice(start, run).CopyTo(target);
                return;
            }
            int inner = sizes[dims - 1], step = strides[dims - 1];
            for (int i = from, end; i < to; i = end)
            {
                (int rest, int first) = Math.DivRem(i, inner);
                end = Math.Min(to, i - first + inner);
                int at = start + first * step;
                for (int d = dims - 2; d >= 0; d--)
                {
                    (rest, int position) = Math.DivRem(rest, sizes[d]);
                    at += position * strides[d];
                }
                Gather(source, at, step, target[(i * run)..(end * run)], run);
            }
        }
    }
}
