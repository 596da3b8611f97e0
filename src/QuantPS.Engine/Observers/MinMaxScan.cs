using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace QuantPS.Engine.Observers;

/// <summary>Smallest and largest element in one pass, as torch.aminmax: NaN wins.</summary>
internal static class MinMaxScan
{
    /// <summary>Smallest and largest element; both NaN if there is one; (+infinity, -infinity) when empty. A zero comes out as +0.</summary>
    // Compiled for good at once: a calibration may be over before the runtime gets round to it.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
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
            min = BinLanes256.Smallest(min0);
            max = -BinLanes256.Smallest(-max0);
        }
        for (; i < data.Length; i++)
        {
            min = MathF.Min(min, data[i]);
            max = MathF.Max(max, data[i]);
        }
        // Which of -0 and +0 is met first depends on the vector's width; adding +0 turns both into +0.
        return (min + 0f, max + 0f);
    }

    /// <summary>The same for every column of a row-major matrix that has as many columns as <paramref name="min"/>, taken into what min and max hold.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void ScanColumns(ReadOnlySpan<float> data, Span<float> min, Span<float> max)
    {
        int lanes = Vector256<float>.Count, columns = min.Length, c = 0;
        ref float first = ref MemoryMarshal.GetReference(data);
        for (; c <= columns - lanes; c += lanes)
        {
            Vector256<float> min0 = Vector256.Create(float.PositiveInfinity), min1 = min0, max0 = -min0, max1 = max0, ordered = Vector256<float>.AllBitsSet;
            int i = c;
            for (; i <= data.Length - columns - lanes; i += 2 * columns)
            {
                Vector256<float> a = Vector256.LoadUnsafe(ref Unsafe.Add(ref first, i)), b = Vector256.LoadUnsafe(ref Unsafe.Add(ref first, i + columns));
                min0 = Vector256.MinNative(min0, a);
                max0 = Vector256.MaxNative(max0, a);
                min1 = Vector256.MinNative(min1, b);
                max1 = Vector256.MaxNative(max1, b);
                ordered &= Vector256.Equals(a, a) & Vector256.Equals(b, b);
            }
            if (i < data.Length)
            {
                Vector256<float> a = Vector256.LoadUnsafe(ref Unsafe.Add(ref first, i));
                (min0, max0, ordered) = (Vector256.MinNative(min0, a), Vector256.MaxNative(max0, a), ordered & Vector256.Equals(a, a));
            }
            // All bits set are a NaN.
            Vector256<float> nan = ~ordered;
            Vector256.Min(Vector256.Create<float>(min.Slice(c, lanes)), (Vector256.MinNative(min0, min1) + Vector256<float>.Zero) | nan).CopyTo(min[c..]);
            Vector256.Max(Vector256.Create<float>(max.Slice(c, lanes)), (Vector256.MaxNative(max0, max1) + Vector256<float>.Zero) | nan).CopyTo(max[c..]);
        }
        for (; c < columns; c++)
        {
            for (int i = c; i < data.Length; i += columns)
            {
                min[c] = MathF.Min(min[c], data[i] + 0f);
                max[c] = MathF.Max(max[c], data[i] + 0f);
            }
        }
    }
}
