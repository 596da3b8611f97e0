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
            for (int w = 0; w < s.W.Out; w++)
            {
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
                    Pixel<T>(window, offsets, pixel);
                else if (offsets[^1] + Lanes.Narrow <= window.Length)
                {
                    // Of the channels of the next pixels nothing is kept.
                    Pixel<T>(window, offsets, few);
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

    private static void Pixel<T>(ReadOnlySpan<byte> window, ReadOnlySpan<int> offsets, Span<byte> pixel)
    {
        ref byte x = ref MemoryMarshal.GetReference(window);
        ref byte y = ref MemoryMarshal.GetReference(pixel);
        int channels = pixel.Length;
        if (Vector512.IsHardwareAccelerated && channels >= Lanes.Wide)
        {
            // The last block overlaps the one before.
            for (int i = 0; i < channels; i += Lanes.Wide)
            {
                int c = Math.Min(i, channels - Lanes.Wide);
                Vector512<T> best = Vector512.LoadUnsafe(ref x, (nuint)(offsets[0] + c)).As<byte, T>();
                for (int t = 1; t < offsets.Length; t++)
                    best = Vector512.Max(best, Vector512.LoadUnsafe(ref x, (nuint)(offsets[t] + c)).As<byte, T>());
                best.AsByte().StoreUnsafe(ref y, (nuint)c);
            }
            return;
        }
        for (int i = 0; i < channels; i += Lanes.Narrow)
        {
            int c = Math.Min(i, channels - Lanes.Narrow);
            Vector256<T> best = Vector256.LoadUnsafe(ref x, (nuint)(offsets[0] + c)).As<byte, T>();
            for (int t = 1; t < offsets.Length; t++)
                best = Vector256.Max(best, Vector256.LoadUnsafe(ref x, (nuint)(offsets[t] + c)).As<byte, T>());
            best.AsByte().StoreUnsafe(ref y, (nuint)c);
        }
    }
}
