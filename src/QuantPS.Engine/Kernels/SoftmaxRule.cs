using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Kernels;

/// <summary>Softmax of a row of 8-bit integers as numbers: exp(scale * (x - largest x)) depends on a difference of 256 possible ones, so it is a table.</summary>
/// <remarks>y = rne(e(x) * f32(steps / sum)) + z_y, saturated, with e in float32. The sum is taken over e in fixed point, 2^31 for 1, so that its order does
/// not matter; what that rounds is 2^-32 of the largest summand each.</remarks>
internal sealed class SoftmaxRule
{
    /// <summary>Behind the entry of the largest integer there are as many that nobody means, so that a row's own table is a window of 256 entries.</summary>
    private const int Entries = 512;

    private const double One = 1u << 31;

    private byte[]? firstOfTwo;

    // What is less than this of a step rounds to none, however the multiplication rounds.
    private const double Least = 0.499;

    /// <param name="input">8-bit parameters of the input.</param>
    /// <param name="output">8-bit parameters of the result.</param>
    /// <param name="steps">Output steps of a probability of 1.</param>
    public SoftmaxRule(QParams input, QParams output, double steps)
    {
        Steps = steps;
        Flip = input.DType == QDType.QInt8 ? (byte)0x80 : (byte)0;
        OutputZeroPoint = output.ZeroPoints[0];
        OutputSigned = output.DType == QDType.QInt8;
        for (int i = 0; i < 256; i++)
        {
            double e = Math.Exp((i - 255) * (double)input.Scales[0]);
            Reals[i] = (float)e;
            Fixed[i] = (uint)Math.Round(e * One);
            for (int plane = 0; plane < 4; plane++)
                Planes[plane * Entries + i] = (byte)(Fixed[i] >> 8 * plane);
        }
        Reach = 255 - Array.FindIndex(Reals, e => e * steps >= Least);
    }

    /// <summary>exp(scale * (i - 255)); from 256 on 0. A row with the largest integer m has its own from 255 - m on.</summary>
    public float[] Reals { get; } = new float[Entries];

    /// <summary>The same in fixed point.</summary>
    public uint[] Fixed { get; } = new uint[Entries];

    /// <summary>The bytes of these, all lowest first.</summary>
    public byte[] Planes { get; } = new byte[4 * Entries];

    /// <summary>Entries of one of the <see cref="Planes"/>.</summary>
    public static int PlaneLength => Entries;

    public double Steps { get; }

    /// <summary>0x80 for qint8 input, which makes it quint8 in the same order.</summary>
    public byte Flip { get; }

    /// <summary>How far below the largest integer a result may still be more than 0; the entries before that are not.</summary>
    public int Reach { get; }

    public int OutputZeroPoint { get; }

    public bool OutputSigned { get; }

    /// <summary>The first result of a row of two by their difference, first less second, from -255 on.</summary>
    public ReadOnlySpan<byte> FirstOfTwo => firstOfTwo ??= MakeFirstOfTwo();

    /// <summary>What an entry of <see cref="Reals"/> is multiplied with.</summary>
    public float Factor(ulong sum) => (float)(Steps * One / sum);

    private byte[] MakeFirstOfTwo()
    {
        var first = new byte[511];
        Span<byte> row = stackalloc byte[2];
        for (int difference = -255; difference <= 255; difference++)
        {
            row[0] = (byte)(Math.Max(difference, 0) ^ Flip);
            row[1] = (byte)(Math.Max(-difference, 0) ^ Flip);
            Reference.ReferenceSoftmax.Run(row, row, this);
            first[255 + difference] = row[0];
        }
        return first;
    }
}
