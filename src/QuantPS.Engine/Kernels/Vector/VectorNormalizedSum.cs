using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using QuantPS.Engine.Kernels.Reference;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>Layer normalization of a row of sums by vectors of 256 bits, two for the partial sums.</summary>
internal static class VectorNormalizedSum
{
    private const int Half = NormalizedSumRule.Lanes / 2;

    /// <inheritdoc cref="ReferenceNormalizedSum.Run"/>
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b, Span<float> sums, Span<byte> y, NormalizedSumRule rule)
    {
        // What is left of a row behind whole vectors goes one by one, by the same arithmetic.
        int pairs = sums.Length & -NormalizedSumRule.Lanes, packs = sums.Length & -Lanes.Narrow;
        Span<float> lanes = stackalloc float[NormalizedSumRule.Lanes];
        ref float partial = ref MemoryMarshal.GetReference(lanes), sum = ref MemoryMarshal.GetReference(sums);
        ref byte first = ref MemoryMarshal.GetReference(a), second = ref MemoryMarshal.GetReference(b);
        Vector256<int> flipA = Vector256.Create((int)rule.FlipA), flipB = Vector256.Create((int)rule.FlipB);
        Vector256<float> low = default, high = default;
        for (int i = 0; i < pairs; i += NormalizedSumRule.Lanes)
        {
            Vector256<float> v = Sum(ref first, ref second, (nuint)i, flipA, flipB, rule), w = Sum(ref first, ref second, (nuint)(i + Half), flipA, flipB, rule);
            v.StoreUnsafe(ref sum, (nuint)i);
            w.StoreUnsafe(ref sum, (nuint)(i + Half));
            low += v;
            high += w;
        }
        low.StoreUnsafe(ref partial);
        high.StoreUnsafe(ref partial, Half);
        ReferenceNormalizedSum.Add(a, b, sums, pairs, lanes, rule);
        float mean = rule.MeanOf(lanes);
        Vector256<float> m = Vector256.Create(mean);
        (low, high) = (default, default);
        for (int i = 0; i < pairs; i += NormalizedSumRule.Lanes)
        {
            Vector256<float> v = Vector256.LoadUnsafe(ref sum, (nuint)i) - m, w = Vector256.LoadUnsafe(ref sum, (nuint)(i + Half)) - m;
            low += v * v;
            high += w * w;
        }
        low.StoreUnsafe(ref partial);
        high.StoreUnsafe(ref partial, Half);
        ReferenceNormalizedSum.Square(sums, pairs, mean, lanes);
        float factor = rule.FactorOf(lanes);
        Vector256<float> f = Vector256.Create(factor);
        OutputZero zero = new(rule.OutputZeroPoint, rule.OutputSigned);
        ref byte to = ref MemoryMarshal.GetReference(y);
        for (int i = 0; i < packs; i += Lanes.Narrow)
        {
            Lanes.Pack(Steps(ref sum, (nuint)i, m, f, rule), Steps(ref sum, (nuint)(i + 8), m, f, rule), Steps(ref sum, (nuint)(i + 16), m, f, rule), Steps(ref sum, (nuint)(i + 24), m, f, rule), zero)
                .StoreUnsafe(ref to, (nuint)i);
        }
        ReferenceNormalizedSum.Normalize(sums, y, packs, mean, factor, rule);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Sum(ref byte first, ref byte second, nuint at, Vector256<int> flipA, Vector256<int> flipB, NormalizedSumRule rule)
    {
        Vector256<float> b = Vector256.ConvertToSingle(Lanes.UnsignedAt(ref Unsafe.Add(ref second, at)) ^ flipB) * At(rule.ScaleB, at);
        return Vector256.ConvertToSingle(Lanes.UnsignedAt(ref Unsafe.Add(ref first, at)) ^ flipA) * At(rule.ScaleA, at) + (b + At(rule.Offset, at));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Steps(ref float sum, nuint at, Vector256<float> mean, Vector256<float> factor, NormalizedSumRule rule) =>
        Lanes.Round((Vector256.LoadUnsafe(ref sum, at) - mean) * factor * At(rule.Gain, at) + At(rule.Bias, at));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> At(float[] values, nuint at) => Vector256.LoadUnsafe(ref MemoryMarshal.GetArrayDataReference(values), at);
}
