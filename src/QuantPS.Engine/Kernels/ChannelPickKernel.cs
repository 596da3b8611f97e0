using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Kernels.Vector;

namespace QuantPS.Engine.Kernels;

/// <summary>Of every pixel of channels-last activations some channels, in any order, any of them as often as it is wanted: a channel shuffle, a cut; also of the
/// channels of two tensors as if they lay one behind the other; on all threads.</summary>
public sealed class ChannelPickKernel
{
    private const int Least = 32 * 1024;

    private readonly int[] picked;
    private readonly int channels, others;
    private readonly VectorChannelPick? vectors;

    /// <param name="channels">Of a pixel.</param>
    /// <param name="picked">Of each channel of the result the channel that it is.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such channel.</exception>
    public ChannelPickKernel(int channels, IReadOnlyList<int> picked)
        : this(channels, 0, picked)
    {
    }

    /// <param name="channels">Of a pixel of the first tensor.</param>
    /// <param name="others">Of a pixel of the second one; 0 where there is none.</param>
    /// <param name="picked">Of each channel of the result the channel that it is; those of the second tensor count on from the first one's.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such channel.</exception>
    public ChannelPickKernel(int channels, int others, IReadOnlyList<int> picked)
    {
        (this.channels, this.others) = (channels, others);
        this.picked = [.. picked];
        foreach (int channel in this.picked)
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)channel, (uint)(channels + others), nameof(picked));
        vectors = VectorChannelPick.TryCreate(channels, others, this.picked);
    }

    /// <summary>Channels of a pixel of the result.</summary>
    public int Count => picked.Length;

    /// <param name="x">[pixels, channels].</param>
    /// <param name="y">Receives [pixels, <see cref="Count"/>].</param>
    /// <exception cref="ArgumentException">Lengths do not match.</exception>
    public void Run(ReadOnlyMemory<byte> x, Memory<byte> y) => Run(x, default, y);

    /// <param name="x">[pixels, channels].</param>
    /// <param name="other">[pixels, channels of the second tensor].</param>
    /// <param name="y">Receives [pixels, <see cref="Count"/>].</param>
    /// <exception cref="ArgumentException">Lengths do not match.</exception>
    public void Run(ReadOnlyMemory<byte> x, ReadOnlyMemory<byte> other, Memory<byte> y)
    {
        int pixels = x.Length / channels;
        if (x.Length != pixels * channels || other.Length != pixels * others || y.Length != pixels * picked.Length)
            throw new ArgumentException($"{x.Length} and {other.Length} bytes of {channels} and {others} channels into {y.Length} of {picked.Length}.");
        if (y.Length > 0)
            KernelThreads.Split(pixels, Math.Max(1, Least / picked.Length), new Work(this, x, other, y, KernelSelector.UsesVectors ? vectors : null));
    }

    private readonly struct Work(ChannelPickKernel kernel, ReadOnlyMemory<byte> x, ReadOnlyMemory<byte> other, Memory<byte> y, VectorChannelPick? vectors) : IKernelWork
    {
        /// <summary>Pixels [from, to).</summary>
        public void Run(int from, int to)
        {
            ReadOnlySpan<byte> source = x.Span[(from * kernel.channels)..(to * kernel.channels)], second = other.Span[(from * kernel.others)..(to * kernel.others)];
            Span<byte> target = y.Span[(from * kernel.picked.Length)..(to * kernel.picked.Length)];
            if (vectors is not null)
                vectors.Run(source, second, target);
            else
                ReferenceChannelPick.Run(source, second, target, kernel.channels, kernel.others, kernel.picked);
        }
    }
}
