using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>The integer transforms of F(4 x 4, 3 x 3): 16 outputs of a 3 x 3 convolution from 36 products instead of 144.</summary>
/// <remarks>
/// Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016): y = A' [(G g G') * (B' d B)] A with points 0, 1, -1, 2, -2 and infinity; a product in brackets is one of elements.
/// B' has integers. G's rows are integers over 4, -6, -6, 24, 24 and 1; here they are
/// (6, 0, 0), (1, 1, 1), (1, -1, 1), (1, 2, 4), (1, -2, 4) and (0, 0, 3), which is 24 times G but for factors 1, -4, -4, 1, 1 and 8 that the transform of the products makes up for.
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

    // G's, as integers.
    private static readonly short[][] Rows = [[6, 0, 0], [1, 1, 1], [1, -1, 1], [1, 2, 4], [1, -2, 4], [0, 0, 3]];

    /// <summary>Taps of a kernel.</summary>
    public const int Taps = 9;

    /// <summary>Kernels to a row of their 36 values, those of 8 output channels and two input channels at a time.</summary>
    /// <param name="from">[pair of input channels][half of 16 output channels][tap][8 output channels][2].</param>
    /// <param name="pairs">Pairs of input channels.</param>
    /// <param name="row">Of the points, 0 to 5.</param>
    /// <param name="to">Receives [point of the row][pair][16 output channels][2].</param>
    /// <param name="point">int16 from a point to the next one.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Weights(sbyte* from, int pairs, int row, short* to, nint point)
    {
        Vector256<short> upper = Vector256.Create(Rows[row][0]), middle = Vector256.Create(Rows[row][1]), lower = Vector256.Create(Rows[row][2]);
        for (int half = 0; half < 2 * pairs; half++, from += Taps * Channels, to += Channels)
        {
            Vector256<short> g0 = Column(from), g1 = Column(from + Channels), g2 = Column(from + 2 * Channels);
            Vector256<short> ends = g0 + g2, twice = g0 + g0, wide = g0 + (g2 << 2), middles = g1 + g1;
            short* at = to;
            (twice + (twice << 1)).Store(at);
            (ends + g1).Store(at += point);
            (ends - g1).Store(at += point);
            (wide + middles).Store(at += point);
            (wide - middles).Store(at += point);
            (g2 + g2 + g2).Store(at + point);
        }

        Vector256<short> Column(sbyte* at) =>
            upper * Avx2.ConvertToVector256Int16(at) + middle * Avx2.ConvertToVector256Int16(at + 3 * Channels) + lower * Avx2.ConvertToVector256Int16(at + 6 * Channels);
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
                Transform(Load(at), Load(at + row), Load(at + 2 * row), Load(lower), Load(lower + row), Load(lower + 2 * row), columns + j, TileInputs);
            }
            short* result = to;
            for (int i = 0; i < TileInputs; i++)
            {
                Vector256<short>* v = columns + i * TileInputs, rowOut = v;
                Transform(v[0], v[1], v[2], v[3], v[4], v[5], rowOut, 1);
                for (int j = 0; j < TileInputs; j++, result += point)
                    rowOut[j].Store(result);
            }
        }

        Vector256<short> Load(byte* b) => Avx2.ConvertToVector256Int16(b) ^ turned;
    }

    /// <summary>B' of six vectors.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Transform(Vector256<short> d0, Vector256<short> d1, Vector256<short> d2, Vector256<short> d3, Vector256<short> d4, Vector256<short> d5, Vector256<short>* to, int step)
    {
        Vector256<short> even = d4 - d2, odd = d3 - d1, p = d4 - (d2 << 2), q = d3 - (d1 << 2), twice = odd + odd;
        to[0] = ((d0 - d2) << 2) + even;
        to[step] = p + q;
        to[2 * step] = p - q;
        to[3 * step] = even + twice;
        to[4 * step] = even - twice;
        to[5 * step] = d5 - d3 - (odd << 2);
    }
}
