using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>Linear interpolation row by row: input rows are dequantized once, each row of the result is summed in float32 and quantized.</summary>
/// <remarks>Pixels of at least a vector of channels are summed channel by channel where they lie. Of pixels of fewer channels every input row is first spread to the width of the
/// result, its left and its right neighbours, so that a row of the result is a sum of vectors from end to end; in enlarging, a row serves for several.</remarks>
internal static class VectorLinearResize
{
    // Channels of a pixel from which on it fills vectors.
    private const int LeastChannels = 8;

    // A row that is not there yet.
    private const int None = -1;

    /// <summary>Whether rows are spread: then <see cref="Run"/> wants the width value by value, of one channel.</summary>
    public static bool Spreads(int channels) => channels < LeastChannels;

    /// <param name="x">An image, [height, width, channels].</param>
    /// <param name="y">Receives rows of the result, [to - from, output width, channels].</param>
    /// <param name="height">Of rows.</param>
    /// <param name="width">Of pixels; of values where rows are spread.</param>
    /// <param name="channels">Of the image; 1 where rows are spread.</param>
    /// <param name="rule">The arithmetic.</param>
    /// <param name="from">First row of the result.</param>
    /// <param name="to">Behind the last row.</param>
    public static unsafe void Run(ReadOnlySpan<byte> x, Span<byte> y, LinearResizeAxis height, LinearResizeAxis width, int channels, in LinearResizeRule rule, int from, int to)
    {
        int input = width.Size * channels, output = width.Count * channels, row = Spreads(channels) ? 2 * output : input;
        Span<float> floats = new(Scratch.Get(sizeof(float) * (2L * row + input + output)), 2 * row + input + output);
        Span<float> upper = floats[..row], lower = floats.Slice(row, row), plain = floats.Slice(2 * row, input), sums = floats[^output..];
        int upperIs = None, lowerIs = None;
        for (int h = from; h < to; h++)
        {
            int first = height.First[h], second = height.Second[h];
            if (first != upperIs && first == lowerIs)
            {
                Span<float> last = upper;
                upper = lower;
                lower = last;
                (upperIs, lowerIs) = (lowerIs, upperIs);
            }
            if (first != upperIs)
                Fill(upper, upperIs = first, x, plain, width, channels, rule);
            if (second != first && second != lowerIs)
                Fill(lower, lowerIs = second, x, plain, width, channels, rule);
            ReadOnlySpan<float> below = second == first ? upper : lower;
            if (Spreads(channels))
                Values(upper, below, sums, width, height.FirstWeights[h], height.SecondWeights[h]);
            else
                Pixels(upper, below, sums, width, channels, height.FirstWeights[h], height.SecondWeights[h]);
            VectorQuantize.Run(sums, y.Slice((h - from) * output, output), rule.Output);
        }
    }

    private static void Fill(Span<float> row, int index, ReadOnlySpan<byte> x, Span<float> plain, LinearResizeAxis width, int channels, in LinearResizeRule rule)
    {
        bool spread = Spreads(channels);
        Span<float> real = spread ? plain : row;
        VectorDequantize.Run(x.Slice(index * real.Length, real.Length), rule.Signed, real, rule.Scale, rule.ZeroPoint);
        if (spread)
            Spread(plain, row, width);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Spread(ReadOnlySpan<float> row, Span<float> spread, LinearResizeAxis width)
    {
        ReadOnlySpan<int> first = width.First, second = width.Second;
        Span<float> left = spread[..first.Length], right = spread[first.Length..];
        for (int i = 0; i < first.Length; i++)
        {
            left[i] = row[first[i]];
            right[i] = row[second[i]];
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Pixels(ReadOnlySpan<float> upper, ReadOnlySpan<float> lower, Span<float> sums, LinearResizeAxis width, int channels, float y0, float y1)
    {
        ref float top = ref MemoryMarshal.GetReference(upper), bottom = ref MemoryMarshal.GetReference(lower), to = ref MemoryMarshal.GetReference(sums);
        for (int w = 0; w < width.Count; w++, to = ref Unsafe.Add(ref to, channels))
        {
            int left = width.First[w] * channels, right = width.Second[w] * channels;
            float x0 = width.FirstWeights[w], x1 = width.SecondWeights[w];
            ref float a = ref Unsafe.Add(ref top, left), b = ref Unsafe.Add(ref top, right), c = ref Unsafe.Add(ref bottom, left), d = ref Unsafe.Add(ref bottom, right);
            if (Vector512.IsHardwareAccelerated && channels >= Vector512<float>.Count)
            {
                Vector512<float> p = Vector512.Create(x0 * y0), q = Vector512.Create(x1 * y0), r = Vector512.Create(x0 * y1), s = Vector512.Create(x1 * y1);
                for (int i = 0; i < channels; i += Vector512<float>.Count)
                {
                    nuint at = (nuint)Math.Min(i, channels - Vector512<float>.Count);
                    (p * Vector512.LoadUnsafe(ref a, at) + q * Vector512.LoadUnsafe(ref b, at) + r * Vector512.LoadUnsafe(ref c, at) + s * Vector512.LoadUnsafe(ref d, at)).StoreUnsafe(ref to, at);
                }
            }
            else
            {
                Vector256<float> p = Vector256.Create(x0 * y0), q = Vector256.Create(x1 * y0), r = Vector256.Create(x0 * y1), s = Vector256.Create(x1 * y1);
                for (int i = 0; i < channels; i += Vector256<float>.Count)
                {
                    nuint at = (nuint)Math.Min(i, channels - Vector256<float>.Count);
                    (p * Vector256.LoadUnsafe(ref a, at) + q * Vector256.LoadUnsafe(ref b, at) + r * Vector256.LoadUnsafe(ref c, at) + s * Vector256.LoadUnsafe(ref d, at)).StoreUnsafe(ref to, at);
                }
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Values(ReadOnlySpan<float> upper, ReadOnlySpan<float> lower, Span<float> sums, LinearResizeAxis width, float y0, float y1)
    {
        int count = sums.Length, i = 0;
        ref float a = ref MemoryMarshal.GetReference(upper), c = ref MemoryMarshal.GetReference(lower), b = ref Unsafe.Add(ref a, count), d = ref Unsafe.Add(ref c, count);
        ref float first = ref MemoryMarshal.GetArrayDataReference(width.FirstWeights), second = ref MemoryMarshal.GetArrayDataReference(width.SecondWeights), to = ref MemoryMarshal.GetReference(sums);
        if (Vector512.IsHardwareAccelerated)
        {
            Vector512<float> top = Vector512.Create(y0), bottom = Vector512.Create(y1);
            for (; i <= count - Vector512<float>.Count; i += Vector512<float>.Count)
            {
                nuint at = (nuint)i;
                Vector512<float> x0 = Vector512.LoadUnsafe(ref first, at), x1 = Vector512.LoadUnsafe(ref second, at);
                (x0 * top * Vector512.LoadUnsafe(ref a, at) + x1 * top * Vector512.LoadUnsafe(ref b, at) + x0 * bottom * Vector512.LoadUnsafe(ref c, at) + x1 * bottom * Vector512.LoadUnsafe(ref d, at))
                    .StoreUnsafe(ref to, at);
            }
        }
        Vector256<float> upperWeight = Vector256.Create(y0), lowerWeight = Vector256.Create(y1);
        for (; i <= count - Vector256<float>.Count; i += Vector256<float>.Count)
        {
            nuint at = (nuint)i;
            Vector256<float> x0 = Vector256.LoadUnsafe(ref first, at), x1 = Vector256.LoadUnsafe(ref second, at);
            (x0 * upperWeight * Vector256.LoadUnsafe(ref a, at) + x1 * upperWeight * Vector256.LoadUnsafe(ref b, at)
                + x0 * lowerWeight * Vector256.LoadUnsafe(ref c, at) + x1 * lowerWeight * Vector256.LoadUnsafe(ref d, at)).StoreUnsafe(ref to, at);
        }
        for (; i < count; i++)
        {
            float x0 = width.FirstWeights[i], x1 = width.SecondWeights[i];
            sums[i] = x0 * y0 * upper[i] + x1 * y0 * upper[count + i] + x0 * y1 * lower[i] + x1 * y1 * lower[count + i];
        }
    }
}
