using System.Runtime.CompilerServices;

namespace QuantPS.Engine.Kernels;

/// <summary>A function of one 8-bit variable that is a rounded line between limits, or the larger of two: what changes scale and zero point, LeakyRelu, HardSigmoid, Relu are.
/// y = clamp(max((multiplier 1 * u + offset 1) >> shift 1, the same of the second), low, high) in int32, where u is x, of signed bytes x + 128; it equals the table for all 256 bytes.</summary>
/// <remarks>Which lines round to given integers: those between half an integer below and above them. The slopes of such lines are bounded by all pairs of points (e.g. Dorst and Smeulders,
/// "Discrete representation of straight lines", 1984). What is left is wide enough for multipliers of 15 bits in nearly all cases.</remarks>
/// <param name="Signed">Bytes are qint8.</param>
/// <param name="First">One line.</param>
/// <param name="Second">Another one; null for a single line.</param>
/// <param name="Low">The least result.</param>
/// <param name="High">The largest result.</param>
internal sealed record ByteLines(bool Signed, ByteLines.Line First, ByteLines.Line? Second, byte Low, byte High)
{
    private const int Count = 256, MostShift = 22;

    /// <summary>By the distance of two points.</summary>
    private static readonly double[] Reciprocals = [.. Enumerable.Range(0, Count).Select(d => 1.0 / d)];

    /// <summary>The lines of a table; null where it has none.</summary>
    /// <param name="table">256 bytes, by the byte that is looked up.</param>
    public static ByteLines? Find(ReadOnlySpan<byte> table) => Find(table, signed: false) ?? Find(table, signed: true);

    /// <summary>The function's value.</summary>
    public byte Apply(byte x)
    {
        int u = Signed ? x ^ 0x80 : x, y = Math.Max(First.At(u), Second?.At(u) ?? int.MinValue);
        return unchecked((byte)(Signed ? Math.Clamp(y, (sbyte)Low, (sbyte)High) : Math.Clamp(y, Low, High)));
    }

    private static ByteLines? Find(ReadOnlySpan<byte> table, bool signed)
    {
        // By the order of what the bytes mean.
        var y = new int[Count];
        for (int u = 0; u < Count; u++)
            y[u] = signed ? (sbyte)table[u ^ 0x80] : table[u];
        int low = y.Min(), high = y.Max();
        if (Fit(y, 0, Count, low, high) is { } line && Made(line, null, table) is { } single)
            return single;
        // The longest beginning that is a line, and the rest.
        int from = 1, to = Count - 1;
        while (from < to)
        {
            int middle = (from + to + 1) / 2;
            if (Fit(y, 0, middle, low, high) is null)
                to = middle - 1;
            else
                from = middle;
        }
        return Fit(y, 0, from, low, high) is { } left && Fit(y, from, Count, low, high) is { } right ? Made(left, right, table) : null;

        ByteLines? Made(Line a, Line? b, ReadOnlySpan<byte> wanted)
        {
            ByteLines lines = new(signed, a, b, unchecked((byte)low), unchecked((byte)high));
            for (int i = 0; i < Count; i++)
            {
                if (lines.Apply((byte)i) != wanted[i])
                    return null;
            }
            return lines;
        }
    }

    /// <summary>A line that rounds to the points [from, to); null where there is none. At the limits it may go beyond them.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static Line? Fit(int[] y, int from, int to, int low, int high)
    {
        double least = double.NegativeInfinity, most = double.PositiveInfinity;
        for (int i = from; i < to; i++)
        {
            double below = Below(i), above = Above(i);
            for (int j = i + 1; j < to; j++)
            {
                most = Math.Min(most, (Above(j) - below) * Reciprocals[j - i]);
                least = Math.Max(least, (Below(j) - above) * Reciprocals[j - i]);
            }
            if (!(least <= most))
                return null;
        }
        // Where nothing bounds it on one side, a step of one is as good as any.
        (least, most) = (double.IsInfinity(least) ? double.IsInfinity(most) ? 0 : most - 1 : least, double.IsInfinity(most) ? double.IsInfinity(least) ? 0 : least + 1 : most);
        int shift = MostShift;
        while (shift > 0 && Math.Max(Math.Abs(least), Math.Abs(most)) * (1 << shift) > short.MaxValue)
            shift--;
        double unit = 1 << shift, middle = (least + most) / 2 * unit;
        for (int k = 0; k < 16; k++)
        {
            // From the middle outwards.
            double multiplier = Math.Round(middle) + (k % 2 == 0 ? k / 2 : -(k + 1) / 2);
            if (multiplier < least * unit || multiplier > most * unit || Math.Abs(multiplier) > short.MaxValue)
                continue;
            (double bottom, double top) = (double.NegativeInfinity, double.PositiveInfinity);
            for (int i = from; i < to; i++)
            {
                bottom = Math.Max(bottom, Below(i) * unit - multiplier * i);
                top = Math.Min(top, Above(i) * unit - multiplier * i);
            }
            // Rounding is half a unit added before the shift.
            if (bottom < top && Offset(Math.Max(bottom, top - unit) + unit / 2, Math.Min(top, bottom + unit) + unit / 2) is var (a, b))
                return new Line((short)multiplier, a, b, shift);
        }
        return null;

        double Above(int i) => y[i] == high ? double.PositiveInfinity : y[i] + 0.5;

        double Below(int i) => y[i] == low ? double.NegativeInfinity : y[i] - 0.5;
    }

    /// <summary>Two factors of 16 bits whose product lies strictly between two numbers, next to their middle first; null where there are none.</summary>
    private static (short A, short B)? Offset(double bottom, double top)
    {
        if (double.IsInfinity(bottom) || double.IsInfinity(top))
            return (0, 0);
        double middle = (bottom + top) / 2;
        for (int b = Math.Max(1, (int)Math.Ceiling(Math.Abs(middle) / short.MaxValue)); b <= short.MaxValue; b++)
        {
            double a = Math.Round(middle / b);
            if (a * b > bottom && a * b < top && Math.Abs(a) <= short.MaxValue)
                return ((short)a, (short)b);
        }
        return null;
    }

    /// <summary>(multiplier * u + a * b) >> shift.</summary>
    /// <param name="Multiplier">Slope times 2^shift.</param>
    /// <param name="A">One factor of the offset.</param>
    /// <param name="B">The other one.</param>
    /// <param name="Shift">0 to 22.</param>
    internal sealed record Line(short Multiplier, short A, short B, int Shift)
    {
        /// <summary>Before limits.</summary>
        /// <param name="u">0 to 255.</param>
        public int At(int u) => (Multiplier * u + A * B) >> Shift;
    }
}
