using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Kernels.Vector;

namespace QuantPS.Engine.Kernels;

/// <summary>Images of 8 bits in another height and width by linear interpolation, channels-last, on all threads; planes are images of one channel.</summary>
internal sealed class LinearResizeKernel
{
    // Bytes of the result that are worth a thread.
    private const int Least = 8 * 1024;

    private readonly LinearResizeAxis height, width;
    private readonly int channels;

    // Of values for rows that are spread; null for others.
    private readonly LinearResizeAxis? spread;

    /// <param name="height">Of rows.</param>
    /// <param name="width">Of pixels.</param>
    /// <param name="channels">Of a pixel.</param>
    public LinearResizeKernel(LinearResizeAxis height, LinearResizeAxis width, int channels)
    {
        (this.height, this.width, this.channels) = (height, width, channels);
        spread = VectorLinearResize.Spreads(channels) ? width.OfChannels(channels) : null;
    }

    public int Channels => channels;

    /// <param name="x">[batch, height, width, channels].</param>
    /// <param name="y">Receives [batch, output height, output width, channels].</param>
    /// <param name="batch">How many images.</param>
    /// <param name="rule">The arithmetic.</param>
    /// <exception cref="ArgumentException">Lengths and sizes do not match.</exception>
    public void Run(ReadOnlyMemory<byte> x, Memory<byte> y, int batch, in LinearResizeRule rule)
    {
        if (x.Length != batch * height.Size * width.Size * channels || y.Length != batch * height.Count * width.Count * channels)
            throw new ArgumentException($"{x.Length} and {y.Length} bytes for {batch} times {height.Size} x {width.Size} and {height.Count} x {width.Count} pixels of {channels} channels.");
        if (y.Length > 0)
            KernelThreads.Split(batch * height.Count, Math.Max(1, Least / (width.Count * channels)), new Rows(this, x, y, rule, KernelSelector.UsesVectors));
    }

    private readonly struct Rows(LinearResizeKernel kernel, ReadOnlyMemory<byte> x, Memory<byte> y, LinearResizeRule rule, bool vectors) : IKernelWork
    {
        /// <summary>Rows [from, to) of all images.</summary>
        public void Run(int from, int to)
        {
            int rows = kernel.height.Count, row = kernel.width.Count * kernel.channels, image = kernel.height.Size * kernel.width.Size * kernel.channels;
            while (from < to)
            {
                (int n, int first) = Math.DivRem(from, rows);
                int count = Math.Min(to - from, rows - first);
                ReadOnlySpan<byte> source = x.Span.Slice(n * image, image);
                Span<byte> target = y.Span.Slice(from * row, count * row);
                if (!vectors)
                    ReferenceLinearResize.Run(source, target, kernel.height, kernel.width, kernel.channels, rule, first, first + count);
                else
                    VectorLinearResize.Run(source, target, kernel.height, kernel.spread ?? kernel.width, kernel.spread is null ? kernel.channels : 1, rule, first, first + count);
                from += count;
            }
        }
    }
}
