using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Kernels.Vector;

namespace QuantPS.Engine.Kernels;

/// <summary>Of every pixel of channels-last activations some channels, in any order, any of them as often as it is wanted: a channel shuffle, a cut; on all threads.</summary>
public sealed class ChannelPickKernel
{
    private const int Least = 32 * 1024;

    private readonly int[] picked;
    private readonly int channels;
    private readonly VectorChannelPick? vectors;

    /// <param name="channels">Of a pixel.</param>
    /// <param name="picked">Of each channel of the result the channel that it is.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such channel.</exception>
    public ChannelPickKernel(int channels, IReadOnlyList<int> picked)
    {
        this.channels = channels;
        this.picked = [.. picked];
        foreach (int channel in this.picked)
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)channel, (uint)channels, nameof(picked));
        vectors = VectorChannelPick.TryCreate(channels, this.picked);
    }

    /// <summary>Channels of a pixel of the result.</summary>
    public int Count => picked.Length;

    /// <param name="x">[pixels, channels].</param>
    /// <param name="y">Receives [pixels, <see cref="Count"/>].</param>
    /// <exception cref="ArgumentException">Lengths do not match.</exception>
    public void Run(ReadOnlyMemory<byte> x, Memory<byte> y)
    {
        int pixels = x.Length / channels;
        if (x.Length != pixels * channels || y.Length != pixels * picked.Length)
            throw new ArgumentException($"{x.Length} bytes of {channels} channels into {y.Length} of {picked.Length}.");
        if (y.Length > 0)
            KernelThreads.Split(pixels, Math.Max(1, Least / picked.Length), new Work(this, x, y, KernelSelector.UsesVectors ? vectors : null));
    }

    private readonly struct Work(ChannelPickKernel kernel, ReadOnlyMemory<byte> x, Memory<byte> y, VectorChannelPick? vectors) : IKernelWork
    {
        /// <summary>Pixels [from, to).</summary>
        public void Run(int from, int to)
        {
            ReadOnlySpan<byte> source = x.Span[(from * kernel.channels)..(to * kernel.channels)];
            Span<byte> target = y.Span[(from * kernel.picked.Length)..(to * kernel.picked.Length)];
            if (vectors is not null)
                vectors.Run(source, target);
            else
                ReferenceChannelPick.Run(source, target, kernel.channels, kernel.picked);
        }
    }
}
