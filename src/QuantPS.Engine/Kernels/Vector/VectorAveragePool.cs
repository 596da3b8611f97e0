using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using QuantPS.Engine.Kernels.Reference;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>Average pooling on channels-last activations: 64 or 32 channels of a pixel at once, summed tap by tap in 16 bits while that is exact.</summary>
internal static class VectorAveragePool
{
    // 256 times 255 fits 16 bits.
    private const int Exact = 256;

    /// <param name="x">An image.</param>
    /// <param name="y">Receives rows of the output: those from <paramref name="from"/> on.</param>
    /// <param name="s">The windows.</param>
    /// <param name="channels">Of the image.</param>
    /// <param name="rule">The arithmetic.</param>
    /// <param name="from">First row.</param>
    /// <param name="to">Behind the last row.</param>
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(ReadOnlySpan<byte> x, Span<byte> y, PoolShape s, int channels, in AverageRule rule, int from, int to)
    {
        PoolTaps taps = new(s, channels, stackalloc int[PoolTaps.Most(s)]);
        Span<byte> few = stackalloc byte[Lanes.Narrow];
        for (int row = from; row < to; row++)
        {
            (int d, int h) = Math.DivRem(row, s.H.Out);
            (int d0, int nD, int wholeD) = s.D.Window(d);
            (int h0, int nH, int wholeH) = s.H.Window(h);
            for (int w = 0; w < s.W.Out; w++)
            {
                (int w0, int nW, int wholeW) = s.W.Window(w);
                Span<byte> pixel = y.Slice(((row - from) * s.W.Out + w) * channels, channels);
                ReadOnlySpan<int> offsets = taps.Of(nD, nH, nW);
                ReadOnlySpan<byte> window = offsets.IsEmpty ? default : x[(((d0 * s.H.Size + h0) * s.W.Size + w0) * channels)..];
                if (offsets.IsEmpty || (channels < Lanes.Narrow && offsets[^1] + Lanes.Narrow > window.Length))
                {
                    for (int c = 0; c < channels; c++)
                        pixel[c] = ReferenceAveragePool.Mean(x, s, d, h, w, c, channels, rule, c >= rule.VectorChannels);
                    continue;
                }
                float factor = rule.Factor((nD, wholeD), (nH, wholeH), (nW, wholeW), tail: false);
                if (channels >= Lanes.Narrow)
                {
                    Pixel(window, offsets, pixel, rule, factor);
                }
                else
                {
                    // Of the channels of the next pixels nothing is kept.
                    Pixel(window, offsets, few, rule, factor);
                    few[..channels].CopyTo(pixel);
                }
                for (int c = rule.VectorChannels; c < channels; c++)
                    pixel[c] = ReferenceAveragePool.Mean(x, s, d, h, w, c, channels, rule, tail: true);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Pixel(ReadOnlySpan<byte> window, ReadOnlySpan<int> offsets, Span<byte> pixel, in AverageRule rule, float factor)
    {
        if (rule.IsOfReals)
        {
            VectorRealAverage.Pixel(window, offsets, pixel, rule, factor);
            return;
        }
        ref byte x = ref MemoryMarshal.GetReference(window);
        ref byte y = ref MemoryMarshal.GetReference(pixel);
        int channels = pixel.Length;
        // qint8 bytes are summed with their sign bit flipped, 128 higher.
        byte flip = rule.Signed ? (byte)0x80 : (byte)0;
        int offset = unchecked(-offsets.Length * (rule.ZeroPoint + flip));
        var zero = new OutputZero(rule.After, rule.Signed);
        if (Vector512.IsHardwareAccelerated && channels >= Lanes.Wide)
        {
            for (int i = 0; i < channels; i += Lanes.Wide)
            {
                int c = Math.Min(i, channels - Lanes.Wide);
                ByteSums512 sums = default;
                for (int t = 0; t < offsets.Length; t += Exact)
                    sums.Add(ref Unsafe.Add(ref x, c), offsets[t..Math.Min(t + Exact, offsets.Length)], flip);
                Lanes.Pack(Mean(sums.A, offset, factor, rule.Before), Mean(sums.B, offset, factor, rule.Before), Mean(sums.C, offset, factor, rule.Before), Mean(sums.D, offset, factor, rule.Before), zero)
                    .StoreUnsafe(ref y, (nuint)c);
            }
            return;
        }
        for (int i = 0; i < channels; i += Lanes.Narrow)
        {
            int c = Math.Min(i, channels - Lanes.Narrow);
            ByteSums256 sums = default;
            for (int t = 0; t < offsets.Length; t += Exact)
                sums.Add(ref Unsafe.Add(ref x, c), offsets[t..Math.Min(t + Exact, offsets.Length)], flip);
            Lanes.Pack(Mean(sums.A, offset, factor, rule.Before), Mean(sums.B, offset, factor, rule.Before), Mean(sums.C, offset, factor, rule.Before), Mean(sums.D, offset, factor, rule.Before), zero)
                .StoreUnsafe(ref y, (nuint)c);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<int> Mean(Vector512<int> sum, int offset, float factor, float before) =>
        Lanes.Round(Vector512.ConvertToSingle(sum + Vector512.Create(offset)) * Vector512.Create(factor) + Vector512.Create(before));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Mean(Vector256<int> sum, int offset, float factor, float before) =>
        Lanes.Round(Vector256.ConvertToSingle(sum + Vector256.Create(offset)) * Vector256.Create(factor) + Vector256.Create(before));
}
