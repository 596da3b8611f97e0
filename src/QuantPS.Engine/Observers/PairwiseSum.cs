using System.Numerics;

namespace QuantPS.Engine.Observers;

/// <summary>Sums in one fixed order, NumPy's, so that the result does not depend on the CPU.</summary>
internal static class PairwiseSum
{
    private const int Block = 128;

    /// <summary>float32 values, summed in double.</summary>
    public static double Of(ReadOnlySpan<float> v) => Of<float, double>(v);

    /// <summary>Halves down to blocks of 128, eight running sums in a block: the order of NumPy's add.reduce.</summary>
    /// <typeparam name="T">Type of the values.</typeparam>
    /// <typeparam name="TSum">Type of the running sums; NumPy's own is that of the values.</typeparam>
    /// <remarks>Source: numpy/core/src/umath/loops_utils.h.src pairwise_sum.</remarks>
    public static TSum Of<T, TSum>(ReadOnlySpan<T> v) where T : struct, INumber<T> where TSum : struct, INumber<TSum>
    {
        if (v.Length > Block)
        {
            int half = v.Length / 2;
            half -= half % 8;
            return Of<T, TSum>(v[..half]) + Of<T, TSum>(v[half..]);
        }
        TSum sum = TSum.Zero;
        int i = 0;
        if (v.Length >= 8)
        {
            TSum a = sum, b = sum, c = sum, d = sum, e = sum, f = sum, g = sum, h = sum;
            for (; i <= v.Length - 8; i += 8)
            {
                a += TSum.CreateTruncating(v[i]);
                b += TSum.CreateTruncating(v[i + 1]);
                c += TSum.CreateTruncating(v[i + 2]);
                d += TSum.CreateTruncating(v[i + 3]);
                e += TSum.CreateTruncating(v[i + 4]);
                f += TSum.CreateTruncating(v[i + 5]);
                g += TSum.CreateTruncating(v[i + 6]);
                h += TSum.CreateTruncating(v[i + 7]);
            }
            sum = (a + b + (c + d)) + (e + f + (g + h));
        }
        for (; i < v.Length; i++)
            sum += TSum.CreateTruncating(v[i]);
        return sum;
    }
}
