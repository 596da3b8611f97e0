using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>The integer transforms of F(4 x 4, 3 x 3): 16 outputs of a 3 x 3 convolution from 36 products instead of 144.</summary>
/// <remarks>
/// Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016): y = A' [(G g G') * (B' d B)] A with points 0, infinity, 1, -1, 2 and -2, in this order; a product in brackets is one of elements.
/// B' has integers. G's rows are integers over 4, 1, -6, -6, 24 and 24; here they are
/// (6, 0, 0), (0, 0, 3), (1, 1, 1), (1, -1, 1), (1, 2, 4) and (1, -2, 4), which is 24 times G but for factors 1, 8, -4, -4, 1 and 1 that the transform of the products makes up for.
/// What comes out is 24 * 24 = 576 times the sum of products. All sums are taken modulo 2^32: 9 has an inverse there, and 64 times a sum of less than 2^25 is shifted back without loss.
/// So the result is the direct convolution's, bit for bit. Inputs of 0 to 255 become values within 50 * 255 = 12750, weights ones within 49 * 128 = 6272: both are int16.
/// </remarks>
internal static unsafe class WinogradTransform
{
    /// <summary>Outputs, and inputs, of a tile in each dimension.</summary>
    public const int TileOutputs = 4, TileInputs = 6;

    /// <summary>Elements of a transformed tile.</summary>
    public const int Points = TileInputs * TileInputs;

    /// <summary>int16 lanes of a register: channels that are transformed at a time.</summary>
    public const int Channels = 16;

    /// <summary>Times 9 this is 1 modulo 2^32.</summary>
    public const int InverseOf9 = 0x38E38E39;

    /// <summary>Of 576, what is shifted away after the 9.</summary>
    public const int Shift = 6;

    /// <summary>The largest sum of products, with either sign.</summary>
    public const int MostSum = (1 << (31 - Shift)) - 1;

    /// <summary>Taps of a kernel.</summary>
    public const int Taps = 9;

    /// <summary>Rows of points whose weights are made together: they are made of the same sums.</summary>
    public const int RowsAtOnce = 2;

    /// <summary>Kernels to two rows of their 36 values, those of 8 output channels and two input channels at a time.</summary>
    /// <param name="from">[pair of input channels][half of 16 output channels][tap][8 output channels][2].</param>
    /// <param name="pairs">Pairs of input channels.</param>
    /// <param name="row">The first of the two rows, 0, 2 or 4.</param>
    /// <param name="to">Receives [point of the rows][pair][16 output channels][2].</param>
    /// <param name="point">int16 from a point to the next one.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Weights(sbyte* from, int pairs, int row, short* to, nint point)
    {
        nint second = TileInputs * point;
        int halves = 2 * pairs;
        if (row == 0)
        {
            // Only the outer taps count: their factors come with the points'.
            for (; halves > 0; halves--, from += Taps * Channels, to += Channels)
            {
                Store(Tap(from, 0), Tap(from, 1), Tap(from, 2), 6, to, point);
                Store(Tap(from, 6), Tap(from, 7), Tap(from, 8), 3, to + second, point);
            }
        }
        else if (row == 2)
        {
            for (; halves > 0; halves--, from += Taps * Channels, to += Channels)
            {
                Ones(from, 0, out Vector256<short> sum0, out Vector256<short> difference0);
                Ones(from, 1, out Vector256<short> sum1, out Vector256<short> difference1);
                Ones(from, 2, out Vector256<short> sum2, out Vector256<short> difference2);
                Store(sum0, sum1, sum2, 1, to, point);
                Store(difference0, difference1, difference2, 1, to + second, point);
            }
        }
        else
        {
            for (; halves > 0; halves--, from += Taps * Channels, to += Channels)
            {
                Twos(from, 0, out Vector256<short> sum0, out Vector256<short> difference0);
                Twos(from, 1, out Vector256<short> sum1, out Vector256<short> difference1);
                Twos(from, 2, out Vector256<short> sum2, out Vector256<short> difference2);
                Store(sum0, sum1, sum2, 1, to, point);
                Store(difference0, difference1, difference2, 1, to + second, point);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<short> Tap(sbyte* from, int tap) => Avx2.ConvertToVector256Int16(from + tap * Channels);

    /// <summary>(1, 1, 1) and (1, -1, 1) of a column of taps.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Ones(sbyte* from, int column, out Vector256<short> sum, out Vector256<short> difference)
    {
        Vector256<short> ends = Tap(from, column) + Tap(from, column + 6), middle = Tap(from, column + 3);
        (sum, difference) = (ends + middle, ends - middle);
    }

    /// <summary>(1, 2, 4) and (1, -2, 4) of a column of taps.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Twos(sbyte* from, int column, out Vector256<short> sum, out Vector256<short> difference)
    {
        Vector256<short> ends = Tap(from, column) + (Tap(from, column + 6) << 2), middle = Tap(from, column + 3) << 1;
        (sum, difference) = (ends + middle, ends - middle);
    }

    /// <summary>The six points of a row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(Vector256<short> g0, Vector256<short> g1, Vector256<short> g2, short factor, short* to, nint point)
    {
        if (factor != 1)
            (g0, g1, g2) = (g0 * factor, g1 * factor, g2 * factor);
        Vector256<short> ends = g0 + g2, wide = g0 + (g2 << 2), middles = g1 << 1;
        (g0 * 6).Store(to);
        (g2 * 3).Store(to + point);
        to += 2 * point;
        (ends + g1).Store(to);
        (ends - g1).Store(to + point);
        to += 2 * point;
        (wide + middles).Store(to);
        (wide - middles).Store(to + point);
    }

    /// <summary>A tile of 6 x 6 pixels to its 36 values, 16 channels at a time.</summary>
    /// <param name="from">The first pixel's channels; readable up to the next multiple of 16.</param>
    /// <param name="row">Bytes from a row of pixels to the next one.</param>
    /// <param name="pixel">Bytes from a pixel to the next one.</param>
    /// <param name="flip">What is turned in each byte.</param>
    /// <param name="channels">How many, in multiples of 16.</param>
    /// <param name="to">Receives the first point's int16, channel by channel.</param>
    /// <param name="point">int16 from a point to the next one.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Inputs(byte* from, nint row, nint pixel, byte flip, int channels, short* to, nint point)
    {
        Vector256<short> turned = Vector256.Create((short)flip);
        Vector256<short>* columns = stackalloc Vector256<short>[Points];
        for (int c = 0; c < channels; c += Channels, from += Channels, to += Channels)
        {
            byte* at = from;
            for (int j = 0; j < TileInputs; j++, at += pixel)
            {
                byte* lower = at + 3 * row;
                Transform(Load(at), Load(at + row), Load(at + 2 * row), Load(lower), Load(lower + row), Load(lower + 2 * row), (short*)(columns + j), TileInputs * Channels);
            }
            short* result = to;
            for (int i = 0; i < TileInputs; i++, result += TileInputs * point)
            {
                Vector256<short>* v = columns + i * TileInputs;
                Transform(v[0], v[1], v[2], v[3], v[4], v[5], result, point);
            }
        }

        Vector256<short> Load(byte* b) => Avx2.ConvertToVector256Int16(b) ^ turned;
    }

    /// <summary>B' of six vectors.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Transform(Vector256<short> d0, Vector256<short> d1, Vector256<short> d2, Vector256<short> d3, Vector256<short> d4, Vector256<short> d5, short* to, nint step)
    {
        Vector256<short> even = d4 - d2, odd = d3 - d1, p = d4 - (d2 << 2), q = d3 - (d1 << 2), twice = odd + odd;
        (((d0 - d2) << 2) + even).Store(to);
        (d5 - d3 - (odd << 2)).Store(to + step);
        to += 2 * step;
        (p + q).Store(to);
        (p - q).Store(to + step);
        to += 2 * step;
        (even + twice).Store(to);
        (even - twice).Store(to + step);
    }
}
