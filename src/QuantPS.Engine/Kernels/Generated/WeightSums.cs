using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace QuantPS.Engine.Kernels.Generated;

/// <summary>Sums of weights, which a layer's start values and limits are made of.</summary>
internal static class WeightSums
{
    // Vectors whose weights, two a lane and -256 at least, an int16 holds.
    private const int MostVectors = -short.MinValue / 256;

    /// <summary>The positive weights in sum, and the negative ones without their sign.</summary>
    /// <remarks>Bytes 2 l and 2 l + 1 of 32 go into lane l. Scalar equivalent: the loop behind.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static (int Above, int Below) Of(ReadOnlySpan<sbyte> weights)
    {
        int above = 0, below = 0, i = 0;
        ref sbyte first = ref MemoryMarshal.GetReference(weights);
        for (int vectors; (vectors = Math.Min(MostVectors, (weights.Length - i) / Vector256<sbyte>.Count)) > 0;)
        {
            Vector256<short> positive = default, negative = default;
            for (; vectors > 0; vectors--, i += Vector256<sbyte>.Count)
            {
                Vector256<short> pairs = Vector256.LoadUnsafe(ref first, (nuint)i).AsInt16(), even = pairs << 8 >> 8, odd = pairs >> 8;
                positive += Vector256.Max(even, default) + Vector256.Max(odd, default);
                negative += Vector256.Min(even, default) + Vector256.Min(odd, default);
            }
            above += Sum(positive);
            below -= Sum(negative);
        }
        for (; i < weights.Length; i++)
        {
            above += Math.Max((int)weights[i], 0);
            below -= Math.Min((int)weights[i], 0);
        }
        return (above, below);

        static int Sum(Vector256<short> lanes)
        {
            (Vector256<int> low, Vector256<int> high) = Vector256.Widen(lanes);
            return Vector256.Sum(low + high);
        }
    }
}
