using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Kernels;

/// <summary>A function of one 8-bit variable that is a rounded line between limits, or the larger of two: what changes scale and zero point, LeakyRelu, HardSigmoid, Relu are.
/// y = clamp(rne(max(slope 1 * x + offset 1, slope 2 * x + offset 2)), low, high), fused multiply-adds in float32, which equals the table for all 256 bytes.</summary>
/// <remarks>Which lines round to given integers: those between half an integer below and above them. The slopes of such lines are bounded by all pairs of points (e.g. Dorst and Smeulders,
/// "Discrete representation of straight lines", 1984); the middle of what is left stays clear of rounding.</remarks>
internal sealed record ByteLines(bool Signed, float Slope, float Offset, float Slope2, float Offset2, byte Low, byte High)
{
    private const int Count = 256;

    /// <summary>The second line is another one.</summary>
    public bool AreTwo => Slope != Slope2 || Offset != Offset2;

    /// <summary>The lines of a table; null where it has none.</summary>
    /// <param name="table">256 bytes, by the byte that is looked up.</param>
    public static ByteLines? Find(ReadOnlySpan<byte> table) => Find(table, signed: false) ?? Find(table, signed: true);

    /// <summary>The function's value.</summary>
    public byte Apply(byte x)
    {
        float v = Signed ? (sbyte)x : x, y = MathF.Max(MathF.FusedMultiplyAdd(v, Slope, Offset), MathF.FusedMultiplyAdd(v, Slope2, Offset2));
        float rounded = Rounding.HalfToEven(y);
        return unchecked((byte)(int)(Signed ? Math.Clamp(rounded, (sbyte)Low, (sbyte)High) : Math.Clamp(rounded, Low, High)));
    }

    private static ByteLines? Find(ReadOnlySpan<byte> table, bool signed)
    {
        // By the order of what the bytes mean.
        var y = new int[Count];
        int first = signed ? sbyte.MinValue : 0;
        for (int i = 0; i < Count; i++)
        {
            byte value = table[unchecked((byte)(first + i))];
            y[i] = signed ? (sbyte)value : value;
        }
        int low = y.Min(), high = y.Max();
        if (Fit(y, 0, Count, low, high, first) is { } line && Made(line, line, table) is { } single)
            return single;
        // The longest beginning that is a line, and the rest.
        int from = 1, to = Count - 1;
        while (from < to)
        {
            int middle = (from + to + 1) / 2;
            if (Fit(y, 0, middle, low, high, first) is null)
                to = middle - 1;
            else
                from = middle;
        }
        return Fit(y, 0, from, low, high, first) is { } left && Fit(y, from, Count, low, high, first) is { } right ? Made(left, right, table) : null;

        ByteLines? Made((float Slope, float Offset) a, (float Slope, float Offset) b, ReadOnlySpan<byte> wanted)
        {
            ByteLines lines = new(signed, a.Slope, a.Offset, b.Slope, b.Offset, unchecked((byte)low), unchecked((byte)high));
            for (int i = 0; i < Count; i++)
            {
                if (lines.Apply((byte)i) != wanted[i])
                    return null;
            }
            return lines;
        }
    }

    /// <summary>A line that rounds to the points [from, to); null where there is none. At the limits it may go beyond them.</summary>
    private static (float Slope, float Offset)? Fit(int[] y, int from, int to, int low, int high, int first)
    {
        double least = double.NegativeInfinity, most = double.PositiveInfinity;
        for (int i = from; i < to; i++)
        {
            for (int j = i + 1; j < to; j++)
            {
                most = Math.Min(most, (Above(j) - Below(i)) / (j - i));
                least = Math.Max(least, (Below(j) - Above(i)) / (j - i));
            }
        }
        if (!(least < most))
            return null;
        double slope = double.IsInfinity(least) ? double.IsInfinity(most) ? 0 : most - 1 : double.IsInfinity(most) ? least + 1 : (least + most) / 2;
        (double bottom, double top) = (double.NegativeInfinity, double.PositiveInfinity);
        for (int i = from; i < to; i++)
        {
            bottom = Math.Max(bottom, Below(i) - slope * (first + i));
            top = Math.Min(top, Above(i) - slope * (first + i));
        }
        if (!(bottom < top))
            return null;
        double offset = double.IsInfinity(bottom) ? double.IsInfinity(top) ? low : top - 1 : double.IsInfinity(top) ? bottom + 1 : (bottom + top) / 2;
        return ((float)slope, (float)offset);

        double Above(int i) => y[i] == high ? double.PositiveInfinity : y[i] + 0.5;

        double Below(int i) => y[i] == low ? double.NegativeInfinity : y[i] - 0.5;
    }
}
