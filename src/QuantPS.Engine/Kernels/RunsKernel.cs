using System.Runtime.CompilerServices;

namespace QuantPS.Engine.Kernels;

/// <summary>Runs of neighbouring bytes in another order, on all threads: what moves elements without taking rows apart.</summary>
internal static class RunsKernel
{
    private const int Least = 64 * 1024;

    /// <param name="x">Where the runs are taken from.</param>
    /// <param name="y">Receives them one behind the other, row-major over the dimensions.</param>
    /// <param name="sizes">Dimensions over the runs, outermost first.</param>
    /// <param name="strides">What a step along each adds to the place in x.</param>
    /// <param name="run">Bytes of a run.</param>
    public static void Run(ReadOnlyMemory<byte> x, Memory<byte> y, int[] sizes, int[] strides, int run)
    {
        if (y.Length == 0)
            return;
        // Runs that lie one behind the other are one.
        int dims = sizes.Length;
        while (dims > 0 && (sizes[dims - 1] == 1 || strides[dims - 1] == run))
            run *= sizes[--dims];
        int count = y.Length / run;
        KernelThreads.Split(count, Math.Max(1, Least / run), new Work(x, y, sizes, strides, dims, run));
    }

    private readonly struct Work(ReadOnlyMemory<byte> x, Memory<byte> y, int[] sizes, int[] strides, int dims, int run) : IKernelWork
    {
        /// <summary>Runs [from, to) of y.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Run(int from, int to)
        {
            ReadOnlySpan<byte> source = x.Span;
            Span<byte> target = y.Span;
            if (dims == 0)
            {
                source[..run].CopyTo(target);
                return;
            }
            int inner = sizes[dims - 1], step = strides[dims - 1];
            for (int i = from, end; i < to; i = end)
            {
                (int rest, int first) = Math.DivRem(i, inner);
                end = Math.Min(to, i - first + inner);
                int at = first * step;
                for (int d = dims - 2; d >= 0; d--)
                {
                    (rest, int position) = Math.DivRem(rest, sizes[d]);
                    at += position * strides[d];
                }
                for (int k = i; k < end; k++, at += step)
                    source.Slice(at, run).CopyTo(target[(k * run)..]);
            }
        }
    }
}
