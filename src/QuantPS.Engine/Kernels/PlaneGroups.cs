using QuantPS.Engine.Kernels.Vector;

namespace QuantPS.Engine.Kernels;

/// <summary>Runs a channels-last pooling kernel on planes: some at a time are turned into pixels, as if they were the channels of one image, and the result is turned back.</summary>
internal static unsafe class PlaneGroups
{
    /// <summary>With fewer planes than this turning does not pay.</summary>
    public const int Least = 4;

    /// <summary>Pools an image: input, output, channels.</summary>
    public interface IPooling
    {
        void Run(ReadOnlySpan<byte> x, Span<byte> y, int channels);
    }

    /// <param name="x">Planes.</param>
    /// <param name="y">Receives as many.</param>
    /// <param name="planes">How many.</param>
    /// <param name="inArea">Pixels of an input plane.</param>
    /// <param name="outArea">Pixels of an output plane.</param>
    /// <param name="pooling">The kernel.</param>
    public static void Run<TPooling>(ReadOnlyMemory<byte> x, Memory<byte> y, int planes, int inArea, int outArea, TPooling pooling) where TPooling : struct, IPooling
    {
        // As many as a vector has bytes, fewer where a thread would be left without.
        int size = Math.Min(planes, Math.Clamp((planes / KernelThreads.Count + 15) / 16 * 16, 16, Lanes.Wide));
        KernelThreads.Split((planes + size - 1) / size, Math.Max(1, 32 * 1024 / Math.Max(1, size * inArea)), new Work<TPooling>(x, y, planes, size, inArea, outArea, pooling));
    }

    private readonly struct Work<TPooling>(ReadOnlyMemory<byte> x, Memory<byte> y, int planes, int size, int inArea, int outArea, TPooling pooling) : IKernelWork
        where TPooling : struct, IPooling
    {
        public void Run(int from, int to)
        {
            byte* scratch = Scratch.Get((long)size * (inArea + outArea));
            Span<byte> input = new(scratch, size * inArea), output = new(scratch + size * inArea, size * outArea);
            for (int group = from; group < to; group++)
            {
                int first = group * size, count = Math.Min(size, planes - first);
                VectorTranspose.Run(x.Span.Slice(first * inArea, count * inArea), input[..(count * inArea)], count, inArea, 0, count, 0, inArea);
                pooling.Run(input[..(count * inArea)], output[..(count * outArea)], count);
                VectorTranspose.Run(output[..(count * outArea)], y.Span.Slice(first * outArea, count * outArea), outArea, count, 0, outArea, 0, count);
            }
        }
    }
}
