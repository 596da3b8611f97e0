using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>Channels of pixels picked 16 at a time: each block of 16 results is made of a few windows of 16 neighbouring channels, whose bytes a shuffle brings to their places.</summary>
internal sealed class VectorChannelPick
{
    private const int Lanes = 16;

    // A lane that a window does not fill: PSHUFB and TBL make it zero.
    private const byte None = 0x80;

    // Above that byte by byte is as quick.
    private const int MostWindowsOfBlock = 6;

    private readonly int channels, count;

    // Of each block the place of its results, and the end of its windows; the last one may overlap the one before it.
    private readonly (int To, int End)[] blocks;
    private readonly int[] windows;
    private readonly Vector128<byte>[] orders;

    private VectorChannelPick(int channels, int count, (int To, int End)[] blocks, int[] windows, Vector128<byte>[] orders)
    {
        (this.channels, this.count) = (channels, count);
        (this.blocks, this.windows, this.orders) = (blocks, windows, orders);
    }

    /// <summary>Null where pixels have fewer channels than a vector, or the channels of a block come from too many places.</summary>
    public static VectorChannelPick? TryCreate(int channels, int[] picked)
    {
        if (channels < Lanes || picked.Length < Lanes || !Vector128.IsHardwareAccelerated)
            return null;
        var blocks = new (int To, int End)[(picked.Length + Lanes - 1) / Lanes];
        List<int> windows = [];
        List<Vector128<byte>> orders = [];
        Span<byte> order = stackalloc byte[Lanes];
        for (int block = 0; block < blocks.Length; block++)
        {
            int to = Math.Min(block * Lanes, picked.Length - Lanes), before = windows.Count;
            // From the lowest channel that is not there yet on.
            for (int lowest = -1; Array.Exists(picked[to..(to + Lanes)], c => c > lowest);)
            {
                int window = Math.Min(picked[to..(to + Lanes)].Where(c => c > lowest).Min(), channels - Lanes);
                for (int lane = 0; lane < Lanes; lane++)
                {
                    int channel = picked[to + lane];
                    order[lane] = channel > lowest && channel < window + Lanes ? (byte)(channel - window) : None;
                }
                windows.Add(window);
                orders.Add(Vector128.Create<byte>(order));
                lowest = window + Lanes - 1;
            }
            if (windows.Count - before > MostWindowsOfBlock)
                return null;
            blocks[block] = (to, windows.Count);
        }
        return new VectorChannelPick(channels, picked.Length, blocks, [.. windows], [.. orders]);
    }

    /// <param name="x">[pixels, channels].</param>
    /// <param name="y">Receives [pixels, picked].</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Run(ReadOnlySpan<byte> x, Span<byte> y)
    {
        ref byte from = ref MemoryMarshal.GetReference(x), to = ref MemoryMarshal.GetReference(y);
        ref int places = ref MemoryMarshal.GetArrayDataReference(windows);
        ref Vector128<byte> shuffles = ref MemoryMarshal.GetArrayDataReference(orders);
        for (int pixels = y.Length / count; pixels > 0; pixels--)
        {
            int window = 0;
            foreach ((int at, int end) in blocks)
            {
                Vector128<byte> sum = Vector128.ShuffleNative(Vector128.LoadUnsafe(ref from, (nuint)Unsafe.Add(ref places, window)), Unsafe.Add(ref shuffles, window));
                for (window++; window < end; window++)
                    sum |= Vector128.ShuffleNative(Vector128.LoadUnsafe(ref from, (nuint)Unsafe.Add(ref places, window)), Unsafe.Add(ref shuffles, window));
                sum.StoreUnsafe(ref to, (nuint)at);
            }
            from = ref Unsafe.Add(ref from, channels);
            to = ref Unsafe.Add(ref to, count);
        }
    }
}
