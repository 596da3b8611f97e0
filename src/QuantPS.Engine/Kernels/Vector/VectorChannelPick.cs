using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>Channels of pixels picked 16 at a time: each block of 16 results is made of a few windows of 16 neighbouring channels, whose bytes a shuffle brings to
/// their places. A block is made for many pixels in a row, so that its shuffles stay in registers.</summary>
internal sealed class VectorChannelPick
{
    private const int Lanes = 16;

    // A lane that a window does not fill: PSHUFB and TBL make it zero.
    private const byte None = 0x80;

    // Windows that are or-ed in one go; a block takes two goes at most, above that byte by byte is as quick.
    private const int Go = 4, MostWindowsOfBlock = 2 * Go;

    // Pixels whose bytes, read and written, stay in the first cache while all their blocks are made.
    private const int TileBytes = 16 * 1024;

    private readonly int channels, others, count, tile;

    // Of each block the place of its results, and the end of its windows; the last one may overlap the one before it.
    private readonly (int To, int End)[] blocks;
    private readonly Window[] windows;

    private VectorChannelPick(int channels, int others, int count, (int To, int End)[] blocks, Window[] windows)
    {
        (this.channels, this.others, this.count) = (channels, others, count);
        (this.blocks, this.windows) = (blocks, windows);
        tile = Math.Max(8, TileBytes / (channels + others + count));
    }

    /// <summary>Null where pixels have fewer channels than a vector, or the channels of a block come from too many places.</summary>
    public static VectorChannelPick? TryCreate(int channels, int others, int[] picked)
    {
        if (channels < Lanes || others is > 0 and < Lanes || picked.Length < Lanes || !Vector128.IsHardwareAccelerated)
            return null;
        var blocks = new (int To, int End)[(picked.Length + Lanes - 1) / Lanes];
        List<Window> windows = [];
        Span<byte> order = stackalloc byte[Lanes];
        for (int block = 0; block < blocks.Length; block++)
        {
            int to = Math.Min(block * Lanes, picked.Length - Lanes), before = windows.Count;
            ReadOnlySpan<int> wanted = picked.AsSpan(to, Lanes);
            // From the lowest channel that is not there yet on.
            for (int lowest = 0, next; (next = Next(wanted, lowest)) >= 0;)
            {
                bool second = next >= channels;
                (int start, int end) = second ? (channels, channels + others) : (0, channels);
                int window = Math.Min(next, end - Lanes), last = Math.Min(window + Lanes, end);
                for (int lane = 0; lane < Lanes; lane++)
                    order[lane] = wanted[lane] >= next && wanted[lane] < last ? (byte)(wanted[lane] - window) : None;
                windows.Add(new Window(second, window - start, Vector128.Create<byte>(order)));
                lowest = last;
            }
            if (windows.Count - before > MostWindowsOfBlock)
                return null;
            // Whole goes, or one of one or two windows: what is missing fills no lane.
            while (windows.Count - before > 2 && (windows.Count - before) % Go > 0)
                windows.Add(windows[before] with { Order = Vector128.Create(None) });
            blocks[block] = (to, windows.Count);
        }
        return new VectorChannelPick(channels, others, picked.Length, blocks, [.. windows]);
    }

    /// <param name="x">[pixels, channels].</param>
    /// <param name="other">[pixels, channels of the second tensor]; empty where there is none.</param>
    /// <param name="y">Receives [pixels, picked].</param>
    public void Run(ReadOnlySpan<byte> x, ReadOnlySpan<byte> other, Span<byte> y)
    {
        ref byte first = ref MemoryMarshal.GetReference(x), second = ref MemoryMarshal.GetReference(other), target = ref MemoryMarshal.GetReference(y);
        for (int rest = y.Length / count; rest > 0; rest -= tile)
        {
            int pixels = Math.Min(rest, tile), at = 0;
            foreach ((int to, int end) in blocks)
            {
                ref byte result = ref Unsafe.Add(ref target, to);
                switch (end - at)
                {
                    case 1:
                        One(ref first, ref second, ref result, pixels, windows[at]);
                        break;
                    case 2:
                        Two(ref first, ref second, ref result, pixels, windows[at], windows[at + 1]);
                        break;
                    default:
                        for (int go = at; go < end; go += Go)
                            Four(ref first, ref second, ref result, pixels, windows.AsSpan(go, Go), isFirst: go == at);
                        break;
                }
                at = end;
            }
            first = ref Unsafe.Add(ref first, pixels * channels);
            second = ref Unsafe.Add(ref second, pixels * others);
            target = ref Unsafe.Add(ref target, pixels * count);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void One(ref byte first, ref byte second, ref byte to, int pixels, Window window)
    {
        ref byte a = ref window.In(ref first, ref second);
        int step = Step(window), width = count;
        Vector128<byte> order = window.Order;
        for (int pixel = 0; pixel < pixels; pixel++)
        {
            Vector128.ShuffleNative(Vector128.LoadUnsafe(ref a), order).StoreUnsafe(ref to);
            a = ref Unsafe.Add(ref a, step);
            to = ref Unsafe.Add(ref to, width);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Two(ref byte first, ref byte second, ref byte to, int pixels, Window one, Window two)
    {
        ref byte a = ref one.In(ref first, ref second), b = ref two.In(ref first, ref second);
        int stepA = Step(one), stepB = Step(two), width = count;
        Vector128<byte> orderA = one.Order, orderB = two.Order;
        for (int pixel = 0; pixel < pixels; pixel++)
        {
            (Vector128.ShuffleNative(Vector128.LoadUnsafe(ref a), orderA) | Vector128.ShuffleNative(Vector128.LoadUnsafe(ref b), orderB)).StoreUnsafe(ref to);
            a = ref Unsafe.Add(ref a, stepA);
            b = ref Unsafe.Add(ref b, stepB);
            to = ref Unsafe.Add(ref to, width);
        }
    }

    /// <summary>Four windows; further ones are added to what those before have filled.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Four(ref byte first, ref byte second, ref byte to, int pixels, ReadOnlySpan<Window> four, bool isFirst)
    {
        ref byte a = ref four[0].In(ref first, ref second), b = ref four[1].In(ref first, ref second), c = ref four[2].In(ref first, ref second), d = ref four[3].In(ref first, ref second);
        int stepA = Step(four[0]), stepB = Step(four[1]), stepC = Step(four[2]), stepD = Step(four[3]), width = count;
        Vector128<byte> orderA = four[0].Order, orderB = four[1].Order, orderC = four[2].Order, orderD = four[3].Order, old = isFirst ? default : Vector128<byte>.AllBitsSet;
        for (int pixel = 0; pixel < pixels; pixel++)
        {
            Vector128<byte> sum = Vector128.ShuffleNative(Vector128.LoadUnsafe(ref a), orderA) | Vector128.ShuffleNative(Vector128.LoadUnsafe(ref b), orderB)
                | Vector128.ShuffleNative(Vector128.LoadUnsafe(ref c), orderC) | Vector128.ShuffleNative(Vector128.LoadUnsafe(ref d), orderD);
            (sum | (Vector128.LoadUnsafe(ref to) & old)).StoreUnsafe(ref to);
            a = ref Unsafe.Add(ref a, stepA);
            b = ref Unsafe.Add(ref b, stepB);
            c = ref Unsafe.Add(ref c, stepC);
            d = ref Unsafe.Add(ref d, stepD);
            to = ref Unsafe.Add(ref to, width);
        }
    }

    private int Step(Window window) => window.IsOfSecond ? others : channels;

    /// <summary>The lowest of the channels that is not below another; -1 without.</summary>
    private static int Next(ReadOnlySpan<int> wanted, int lowest)
    {
        int next = -1;
        foreach (int channel in wanted)
        {
            if (channel >= lowest && (next < 0 || channel < next))
                next = channel;
        }
        return next;
    }

    /// <param name="IsOfSecond">Of the second tensor.</param>
    /// <param name="Place">Its first channel.</param>
    /// <param name="Order">Which of its bytes every lane takes.</param>
    private readonly record struct Window(bool IsOfSecond, int Place, Vector128<byte> Order)
    {
        /// <summary>Its first byte.</summary>
        public ref byte In(ref byte first, ref byte second) => ref Unsafe.Add(ref IsOfSecond ? ref second : ref first, Place);
    }
}
