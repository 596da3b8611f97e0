using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace QuantPS.Engine.Observers;

/// <summary>Smallest and largest element in one pass, as torch.aminmax: NaN wins.</summary>
internal static class MinMaxScan
{
    /// <summary>Smallest and largest element; both NaN if there is one; (+infinity, -infinity) when empty. A zero comes out as +0.</summary>
    public static (float Min, float Max) Scan(ReadOnlySpan<float> data)
    {
        int lanes = Vector256<float>.Count;
        ref float first = ref MemoryMarshal.GetReference(data);
        Vector256<float> min0 = Vector256.Create(float.PositiveInfinity), min1 = min0, max0 = -min0, max1 = max0;
        // The native minimum drops NaN or keeps it depending on the operand order, so NaN is looked for on its own: only NaN differs from itself.
        Vector256<float> ordered = Vector256<float>.AllBitsSet;
        int i = 0;
        for (; i <= data.Length - 2 * lanes; i += 2 * lanes)
        {
            Vector256<float> a = Vector256.LoadUnsafe(ref Unsafe.Add(ref first, i));
            Vector256<float> b = Vector256.LoadUnsafe(ref Unsafe.Add(ref first, i + lanes));
            min0 = Vector256.MinNative(min0, a);
            max0 = Vector256.MaxNative(max0, a);
            min1 = Vector256.MinNative(min1, b);
            max1 = Vector256.MaxNative(max1, b);
            ordered &= Vector256.Equals(a, a) & Vector256.Equals(b, b);
        }
        float min = float.PositiveInfinity, max = float.NegativeInfinity;
        if (i > 0)
        {
            if (ordered.AsInt32() != Vector256<int>.AllBitsSet)
                return (float.NaN, float.NaN);
            // Numbers only: the native minimum of the lanes will do, and channels of a few pixels end here as often as they begin.
            min0 = Vector256.MinNative(min0, min1);
            max0 = Vector256.MaxNative(max0, max1);
            min = Smallest(Vector128.MinNative(min0.GetLower(), min0.GetUpper()));
            max = -Smallest(-Vector128.MaxNative(max0.GetLower(), max0.GetUpper()));
        }
        for (; i < data.Length; i++)
        {
            min = MathF.Min(min, data[i]);
            max = MathF.Max(max, data[i]);
        }
        // Which of -0 and +0 is met first depends on the vector's width; adding +0 turns both into +0.
        return (min + 0f, max + 0f);
    }

    private static float Smallest(Vector128<float> v)
    {
        v = Vector128.MinNative(v, Vector128.Shuffle(v, Vector128.Create(2, 3, 0, 1)));
        return Vector128.MinNative(v, Vector128.Shuffle(v, Vector128.Create(1, 0, 3, 2)))[0];
    }

    /// <summary>The same for every column of a row-major matrix that has as many columns as <paramref name="min"/>, taken into what min and max hold.</summary>
    public static void ScanColumns(ReadOnlySpan<float> data, Span<float> min, Span<float> max)
    {
        int lanes = Vector256<float>.Count;
        for (; !data.IsEmpty; data = data[min.Length..])
        {
            int c = 0;
            for (; c <= min.Length - lanes; c += lanes)
            {
                Vector256<float> v = Vector256.Create(data.Slice(c, lanes)) + Vector256<float>.Zero;
                Vector256.Min(Vector256.Create<float>(min.Slice(c, lanes)), v).CopyTo(min[c..]);
                Vector256.Max(Vector256.Create<float>(max.Slice(c, lanes)), v).CopyTo(max[c..]);
            }
            for (; c < min.Length; c++)
            {
                min[c] = MathF.Min(min[c], data[c] + 0f);
                max[c] = MathF.Max(max[c], data[c] + 0f);
            }
        }
    }
}
