namespace QuantPS.Engine.Observers;

/// <summary>Sums float32 values in double, in one fixed order, so that the result does not depend on the CPU.</summary>
internal static class PairwiseSum
{
    private const int Block = 128;

    /// <summary>Halves down to blocks of 128, eight running sums in a block: the order of NumPy's add.reduce.</summary>
    /// <remarks>Source: numpy/core/src/umath/loops_utils.h.src pairwise_sum.</remarks>
    public static double Of(ReadOnlySpan<float> v)
    {
        if (v.Length > Block)
        {
            int half = v.Length / 2;
            half -= half % 8;
            return Of(v[..half]) + Of(v[half..]);
        }
        double sum = 0;
        int i = 0;
        if (v.Length >= 8)
        {
            double a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0;
            for (; i <= v.Length - 8; i += 8)
            {
                a += v[i];
                b += v[i + 1];
                c += v[i + 2];
                d += v[i + 3];
                e += v[i + 4];
                f += v[i + 5];
                g += v[i + 6];
                h += v[i + 7];
            }
            sum = (a + b + (c + d)) + (e + f + (g + h));
        }
        for (; i < v.Length; i++)
            sum += v[i];
        return sum;
    }
}
