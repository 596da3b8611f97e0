using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using QuantPS.Engine.Kernels.Reference;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>8-bit and 32-bit integers to float32: scale * (q - zp).</summary>
internal static class VectorDequantize
{
    /// <param name="q">Bytes, qint8 or quint8.</param>
    /// <param name="signed">qint8.</param>
    /// <param name="y">Receives as many real values.</param>
    /// <param name="scale">Of all of them.</param>
    /// <param name="zeroPoint">Of all of them.</param>
    public static void Run(ReadOnlySpan<byte> q, bool signed, Span<float> y, float scale, int zeroPoint)
    {
        int done = signed ? Run<SignedBytes>(q, y, scale, zeroPoint) : Run<UnsignedBytes>(q, y, scale, zeroPoint);
        ReferenceDequantize.Run(q[done..], signed, y[done..], scale, zeroPoint);
    }

    /// <summary>qint32. The difference is a 64-bit one, exact as a double, so that it is rounded to float32 once.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(ReadOnlySpan<int> q, Span<float> y, float scale, int zeroPoint)
    {
        ref int from = ref MemoryMarshal.GetReference(q);
        ref float to = ref MemoryMarshal.GetReference(y);
        Vector256<float> factor = Vector256.Create(scale);
        Vector256<long> zero = Vector256.Create((long)zeroPoint);
        int i = 0;
        for (; i <= q.Length - Vector256<int>.Count; i += Vector256<int>.Count)
        {
            (Vector256<long> low, Vector256<long> high) = Vector256.Widen(Vector256.LoadUnsafe(ref from, (nuint)i));
            Vector256<float> difference = Vector256.Narrow(Vector256.ConvertToDouble(low - zero), Vector256.ConvertToDouble(high - zero));
            (factor * difference).StoreUnsafe(ref to, (nuint)i);
        }
        ReferenceDequantize.Run(q[i..], y[i..], scale, zeroPoint);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Run<TByte>(ReadOnlySpan<byte> q, Span<float> y, float scale, int zeroPoint) where TByte : IByteKind
    {
        ref byte from = ref MemoryMarshal.GetReference(q);
        ref float to = ref MemoryMarshal.GetReference(y);
        int i = 0;
        if (Vector512.IsHardwareAccelerated)
        {
            Vector512<float> wide = Vector512.Create(scale), zeros = Vector512.Create((float)zeroPoint);
            for (; i <= q.Length - 32; i += 32)
            {
                Vector512<float> a = Vector512.ConvertToSingle(TByte.Widen512(ref Unsafe.Add(ref from, i)));
                Vector512<float> b = Vector512.ConvertToSingle(TByte.Widen512(ref Unsafe.Add(ref from, i + 16)));
                PlainReals.Real(a, wide, zeros).StoreUnsafe(ref to, (nuint)i);
                PlainReals.Real(b, wide, zeros).StoreUnsafe(ref to, (nuint)i + 16);
            }
        }
        Vector256<float> factor = Vector256.Create(scale), zero = Vector256.Create((float)zeroPoint);
        for (; i <= q.Length - 8; i += 8)
        {
            Vector256<float> v = Vector256.ConvertToSingle(TByte.Widen256(ref Unsafe.Add(ref from, i)));
            PlainReals.Real(v, factor, zero).StoreUnsafe(ref to, (nuint)i);
        }
        return i;
    }
}
