using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using QuantPS.Engine.Kernels.Reference;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>Max pooling on channels-last activations: 64 or 32 channels of a pixel at once, tap by tap.</summary>
internal static class VectorMaxPool
{
    /// <param name="x">An image.</param>
    /// <param name="y">Receives rows of the output: those from <paramref name="from"/> on.</param>
    /// <param name="shape">The windows.</param>
    /// <param name="channels">Of the image.</param>
    /// <param name="signed">qint8.</param>
    /// <param name="from">First row.</param>
    /// <param name="to">Behind the last row.</param>
    public static void Run(ReadOnlySpan<byte> x, Span<byte> y, PoolShape shape, int channels, bool signed, int from, int to)
    {
        if (signed)
            Run<sbyte>(x, y, shape, channels, from, to);
        else
            Run<byte>(x, y, shape, channels, from, to);
    }

    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Run<T>(ReadOnlySpan<byte> x, Span<byte> y, PoolShape s, int channels, int from, int to)
    {
        byte least = typeof(T) == typeof(sbyte) ? (byte)0x80 : (byte)0;
        PoolTaps taps = new(s, channels, stackalloc int[PoolTaps.Most(s)]);
        Span<byte> few = stackalloc byte[Lanes.Narrow];
        for (int row = from; row < to; row++)
        {
            (int d, int h) = Math.DivRem(row, s.H.Out);
            (int d0, int nD, _) = s.D.Window(d);
            (int h0, int nH, _) = s.H.Window(h);
            (int inside, int outside) = s.W.Inside();
            for (int w = 0; w < s.W.Out; w++)
            {
                if (w == inside && inside < outside && channels >= Lanes.Narrow && nD * nH > 0)
                {
                    int first = ((d0 * s.H.Size + h0) * s.W.Size + w * s.W.Stride - s.W.Pad) * channels;
                    Pixels<T>(x[first..], s.W.Stride * channels, taps.Of(nD, nH, s.W.Kernel), y.Slice(((row - from) * s.W.Out + w) * channels, (outside - inside) * channels), channels);
                    w = outside - 1;
                    continue;
                }
                if (w == inside && inside < outside && channels < Lanes.Narrow && nD * nH > 0)
                {
                    int first = ((d0 * s.H.Size + h0) * s.W.Size + w * s.W.Stride - s.W.Pad) * channels;
                    w += FewChannels<T>(x[first..], s.W.Stride * channels, taps.Of(nD, nH, s.W.Kernel), y[(((row - from) * s.W.Out + w) * channels)..], outside - inside, channels);
                    if (w == s.W.Out)
                        break;
                }
                (int w0, int nW, _) = s.W.Window(w);
                Span<byte> pixel = y.Slice(((row - from) * s.W.Out + w) * channels, channels);
                ReadOnlySpan<int> offsets = taps.Of(nD, nH, nW);
                if (offsets.IsEmpty)
                {
                    pixel.Fill(least);
                    continue;
                }
                ReadOnlySpan<byte> window = x[(((d0 * s.H.Size + h0) * s.W.Size + w0) * channels)..];
                if (channels >= Lanes.Narrow)
                    Pixels<T>(window, 0, offsets, pixel, channels);
                else if (offsets[^1] + Lanes.Narrow <= window.Length)
                {
                    // Of the channels of the next pixels nothing is kept.
                    Pixels<T>(window, 0, offsets, few, Lanes.Narrow);
                    few[..channels].CopyTo(pixel);
                }
                else
                {
                    for (int c = 0; c < channels; c++)
                        pixel[c] = ReferenceMaxPool.Largest(x, s, d, h, w, c, channels, typeof(T) == typeof(sbyte), nearest: false);
                }
            }
        }
    }

    /// <summary>Neighbouring pixels of fewer channels than a vector has, a vector each: what it holds of the next pixels is overwritten by these.</summary>
    /// <returns>How many pixels there was room for.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int FewChannels<T>(ReadOnlySpan<byte> window, int step, ReadOnlySpan<int> offsets, Span<byte> pixels, int count, int channels)
    {
        int reads = window.Length - Lanes.Narrow - offsets[^1], writes = pixels.Length - Lanes.Narrow;
        if (reads < 0 || writes < 0)
            return 0;
        count = Math.Min(count, Math.Min(reads / step, writes / channels) + 1);
        ref byte x = ref MemoryMarshal.GetReference(window);
        ref byte y = ref MemoryMarshal.GetReference(pixels);
        for (int p = 0; p < count; p++)
        {
            ref byte at = ref Unsafe.Add(ref x, p * step);
            Vector256<T> most = Vector256.LoadUnsafe(ref Unsafe.As<byte, T>(ref Unsafe.Add(ref at, offsets[0])));
            for (int t = 1; t < offsets.Length; t++)
                most = Vector256.Max(most, Vector256.LoadUnsafe(ref Unsafe.As<byte, T>(ref Unsafe.Add(ref at, offsets[t]))));
            most.AsByte().StoreUnsafe(ref Unsafe.Add(ref y, p * channels));
        }
        return count;
    }

    /// <summary>Neighbouring pixels with equally many taps, one step apart in the input.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Pixels<T>(ReadOnlySpan<byte> window, int step, ReadOnlySpan<int> offsets, Span<byte> pixels, int channels)
    {
        ref byte x = ref MemoryMarshal.GetReference(window);
        ref byte y = ref MemoryMarshal.GetReference(pixels);
        ref int at = ref MemoryMarshal.GetReference(offsets);
        int width = Vector512.IsHardwareAccelerated && channels >= Lanes.Wide ? Lanes.Wide : Lanes.Narrow;
        for (int p = 0; p < pixels.Length; p += channels, x = ref Unsafe.Add(ref x, step))
        {
            for (int i = 0; i < channels; i += width)
            {
                // The last block overlaps the one before.
                int c = Math.Min(i, channels - width);
                if (width == Lanes.Wide)
                    Largest512<T>(ref Unsafe.Add(ref x, c), ref at, offsets.Length).StoreUnsafe(ref y, (nuint)(p + c));
                else
                    Largest256<T>(ref Unsafe.Add(ref x, c), ref at, offsets.Length).StoreUnsafe(ref y, (nuint)(p + c));
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<byte> Largest512<T>(ref byte x, ref int offsets, int count)
    {
        Vector512<T> best = Load(ref x, offsets);
        int t = 1;
        for (; t <= count - 2; t += 2)
            best = Vector512.Max(best, Vector512.Max(Load(ref x, Unsafe.Add(ref offsets, t)), Load(ref x, Unsafe.Add(ref offsets, t + 1))));
        if (t < count)
            best = Vector512.Max(best, Load(ref x, Unsafe.Add(ref offsets, t)));
        return best.AsByte();

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static Vector512<T> Load(ref byte x, int offset) => Vector512.LoadUnsafe(ref x, (nuint)offset).As<byte, T>();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<byte> Largest256<T>(ref byte x, ref int offsets, int count)
    {
        Vector256<T> best = Load(ref x, offsets);
        int t = 1;
        for (; t <= count - 2; t += 2)
            best = Vector256.Max(best, Vector256.Max(Load(ref x, Unsafe.Add(ref offsets, t)), Load(ref x, Unsafe.Add(ref offsets, t + 1))));
        if (t < count)
            best = Vector256.Max(best, Load(ref x, Unsafe.Add(ref offsets, t)));
        return best.AsByte();

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static Vector256<T> Load(ref byte x, int offset) => Vector256.LoadUnsafe(ref x, (nuint)offset).As<byte, T>();
    }
}
