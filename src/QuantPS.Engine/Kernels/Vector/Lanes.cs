using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>Bytes to lanes of int32 and back, for 512 bits where the CPU has them and 256 (or two of 128) elsewhere.</summary>
/// <remarks>The 512-bit forms are for callers that have checked Vector512.IsHardwareAccelerated.</remarks>
internal static class Lanes
{
    /// <summary>Bytes that a kernel makes at a time with 512 bits.</summary>
    public const int Wide = 64;

    /// <summary>Bytes that a kernel makes at a time with 256 bits.</summary>
    public const int Narrow = 32;

    /// <summary>The smallest float32 that no int32 holds.</summary>
    private const float TwoTo31 = 2147483648f;

    // Steps beyond this saturate whatever the zero point.
    private const int Far = 1 << 16;

    /// <summary>Rounds half to even; what is far above any 8-bit integer comes out far above, what is far below or NaN far below.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> Round(Vector512<float> v) => Avx512F.ConvertToVector512Int32(Avx512F.Min(Vector512.Create((float)Far), v));

    /// <inheritdoc cref="Round(Vector512{float})"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Round(Vector256<float> v)
    {
        Vector256<float> far = Vector256.Create((float)Far);
        // minps gives its second operand if that is NaN, and cvtps2dq makes INT32_MIN of NaN and of what is below int32.
        if (Avx.IsSupported)
            return Avx.ConvertToVector256Int32(Avx.Min(far, v));
        v = Vector256.Round(v);
        v = Vector256.ConditionalSelect(Vector256.GreaterThan(v, -far), v, -far);
        return Vector256.ConvertToInt32(Vector256.ConditionalSelect(Vector256.LessThan(v, far), v, far));
    }

    /// <summary>cvtps2dq: half to even; NaN and out of range give INT32_MIN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> RoundIndefinite(Vector512<float> v) => Avx512F.ConvertToVector512Int32(v);

    /// <inheritdoc cref="RoundIndefinite(Vector512{float})"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> RoundIndefinite(Vector256<float> v)
    {
        if (Avx.IsSupported)
            return Avx.ConvertToVector256Int32(v);
        Vector256<float> r = Vector256.Round(v), limit = Vector256.Create(TwoTo31);
        Vector256<float> fits = Vector256.GreaterThanOrEqual(r, -limit) & Vector256.LessThan(r, limit);
        return Vector256.ConditionalSelect(fits.AsInt32(), Vector256.ConvertToInt32(r), Vector256.Create(int.MinValue));
    }

    /// <summary>So that their sum with a zero point neither wraps nor comes back into any 8-bit range.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> Limit(Vector512<int> v) => Vector512.Min(Vector512.Max(v, Vector512.Create(-Far)), Vector512.Create(Far));

    /// <inheritdoc cref="Limit(Vector512{int})"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Limit(Vector256<int> v) => Vector256.Min(Vector256.Max(v, Vector256.Create(-Far)), Vector256.Create(Far));

    /// <summary>Sixteen bytes, zero-extended.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> Unsigned(Vector128<byte> b) => Avx512F.ConvertToVector512Int32(b);

    /// <summary>Sixteen bytes, sign-extended.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> Signed(Vector128<byte> b) => Avx512F.ConvertToVector512Int32(b.AsSByte());

    /// <summary>The eight bytes from a reference on, zero-extended.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> UnsignedAt(ref byte b)
    {
        Vector128<byte> v = Vector128.CreateScalarUnsafe(Unsafe.ReadUnaligned<ulong>(ref b)).AsByte();
        if (Avx2.IsSupported)
            return Avx2.ConvertToVector256Int32(v);
        (Vector128<uint> low, Vector128<uint> high) = Vector128.Widen(Vector128.WidenLower(v));
        return Vector256.Create(low, high).AsInt32();
    }

    /// <summary>The eight bytes from a reference on, sign-extended.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> SignedAt(ref byte b)
    {
        Vector128<sbyte> v = Vector128.CreateScalarUnsafe(Unsafe.ReadUnaligned<ulong>(ref b)).AsSByte();
        if (Avx2.IsSupported)
            return Avx2.ConvertToVector256Int32(v);
        (Vector128<int> low, Vector128<int> high) = Vector128.Widen(Vector128.WidenLower(v));
        return Vector256.Create(low, high);
    }

    /// <summary>The first elements of four vectors, then the second ones, and so on: 4 x 8 transposed.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (Vector256<int> First, Vector256<int> Second, Vector256<int> Third, Vector256<int> Fourth) Interleave(Vector256<int> a, Vector256<int> b, Vector256<int> c, Vector256<int> d)
    {
        if (!Avx2.IsSupported)
        {
            (Vector128<int> a0, Vector128<int> a1, Vector128<int> a2, Vector128<int> a3) = Interleave(a.GetLower(), b.GetLower(), c.GetLower(), d.GetLower());
            (Vector128<int> b0, Vector128<int> b1, Vector128<int> b2, Vector128<int> b3) = Interleave(a.GetUpper(), b.GetUpper(), c.GetUpper(), d.GetUpper());
            return (Vector256.Create(a0, a1), Vector256.Create(a2, a3), Vector256.Create(b0, b1), Vector256.Create(b2, b3));
        }
        Vector256<long> abLow = Avx2.UnpackLow(a, b).AsInt64(), abHigh = Avx2.UnpackHigh(a, b).AsInt64(), cdLow = Avx2.UnpackLow(c, d).AsInt64(), cdHigh = Avx2.UnpackHigh(c, d).AsInt64();
        // Elements 0 and 4, 1 and 5, 2 and 6, 3 and 7 of all four.
        Vector256<long> p = Avx2.UnpackLow(abLow, cdLow), q = Avx2.UnpackHigh(abLow, cdLow), r = Avx2.UnpackLow(abHigh, cdHigh), s = Avx2.UnpackHigh(abHigh, cdHigh);
        return (Avx2.Permute2x128(p, q, 0x20).AsInt32(), Avx2.Permute2x128(r, s, 0x20).AsInt32(), Avx2.Permute2x128(p, q, 0x31).AsInt32(), Avx2.Permute2x128(r, s, 0x31).AsInt32());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector128<int>, Vector128<int>, Vector128<int>, Vector128<int>) Interleave(Vector128<int> a, Vector128<int> b, Vector128<int> c, Vector128<int> d) =>
        (Vector128.Create(a[0], b[0], c[0], d[0]), Vector128.Create(a[1], b[1], c[1], d[1]), Vector128.Create(a[2], b[2], c[2], d[2]), Vector128.Create(a[3], b[3], c[3], d[3]));

    /// <summary>64 steps plus the zero point, saturated to 8 bits: see <see cref="OutputZero"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<byte> Pack(Vector512<int> a, Vector512<int> b, Vector512<int> c, Vector512<int> d, OutputZero zero)
    {
        Vector512<short> z = Vector512.Create(zero.Addend);
        Vector512<short> ab = Avx512BW.AddSaturate(Avx512BW.PackSignedSaturate(a, b), z), cd = Avx512BW.AddSaturate(Avx512BW.PackSignedSaturate(c, d), z);
        // Packing works within 128 bits, so lane i of the result holds the i-th quarters of a, b, c, d.
        Vector512<int> order = Vector512.Create(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        Vector512<sbyte> bytes = Vector512.Max(Avx512BW.PackSignedSaturate(ab, cd), Vector512.Create(zero.Least));
        return Avx512F.PermuteVar16x32(bytes.AsInt32(), order).AsByte() ^ Vector512.Create(zero.Flip);
    }

    /// <summary>32 steps plus the zero point, saturated to 8 bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Pack(Vector256<int> a, Vector256<int> b, Vector256<int> c, Vector256<int> d, OutputZero zero)
    {
        Vector256<byte> bytes = PackSpread(a, b, c, d, zero);
        return Avx2.IsSupported ? Avx2.PermuteVar8x32(bytes.AsInt32(), Vector256.Create(0, 4, 1, 5, 2, 6, 3, 7)).AsByte() : bytes;
    }

    /// <summary>The same for steps as <see cref="Spread"/> and <see cref="Products"/> leave them: with AVX2, which packs and unpacks within 128 bits, vector i has
    /// the elements 4 i to 4 i + 3 and 16 + 4 i to 16 + 4 i + 3; else they are in order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> PackSpread(Vector256<int> a, Vector256<int> b, Vector256<int> c, Vector256<int> d, OutputZero zero)
    {
        Vector256<short> z = Vector256.Create(zero.Addend);
        Vector256<byte> flip = Vector256.Create(zero.Flip);
        Vector256<sbyte> least = Vector256.Create(zero.Least);
        if (!Avx2.IsSupported)
        {
            Vector256<short> low = Vector256.AddSaturate(Vector256.NarrowWithSaturation(a, b), z), high = Vector256.AddSaturate(Vector256.NarrowWithSaturation(c, d), z);
            return Vector256.Max(Vector256.NarrowWithSaturation(low, high), least).AsByte() ^ flip;
        }
        Vector256<short> ab = Avx2.AddSaturate(Avx2.PackSignedSaturate(a, b), z), cd = Avx2.AddSaturate(Avx2.PackSignedSaturate(c, d), z);
        return Vector256.Max(Avx2.PackSignedSaturate(ab, cd), least).AsByte() ^ flip;
    }

    /// <summary>Products of twice 32 unsigned bytes, a zero point taken from each, in the order of <see cref="PackSpread"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (Vector256<int> A, Vector256<int> B, Vector256<int> C, Vector256<int> D) Products(Vector256<byte> x, Vector256<short> zeroX, Vector256<byte> y, Vector256<short> zeroY)
    {
        if (!Avx2.IsSupported)
        {
            (Vector256<ushort> p, Vector256<ushort> q) = Vector256.Widen(x);
            (Vector256<ushort> r, Vector256<ushort> s) = Vector256.Widen(y);
            (Vector256<int> a, Vector256<int> b) = Vector256.Widen(p.AsInt16() - zeroX);
            (Vector256<int> c, Vector256<int> d) = Vector256.Widen(q.AsInt16() - zeroX);
            (Vector256<int> e, Vector256<int> f) = Vector256.Widen(r.AsInt16() - zeroY);
            (Vector256<int> g, Vector256<int> h) = Vector256.Widen(s.AsInt16() - zeroY);
            return (a * e, b * f, c * g, d * h);
        }
        Vector256<short> lowX = Avx2.UnpackLow(x, default).AsInt16() - zeroX, highX = Avx2.UnpackHigh(x, default).AsInt16() - zeroX;
        Vector256<short> lowY = Avx2.UnpackLow(y, default).AsInt16() - zeroY, highY = Avx2.UnpackHigh(y, default).AsInt16() - zeroY;
        // The lower and the upper halves of 32-bit products.
        Vector256<short> low = Avx2.MultiplyLow(lowX, lowY), above = Avx2.MultiplyHigh(lowX, lowY), high = Avx2.MultiplyLow(highX, highY), aboveHigh = Avx2.MultiplyHigh(highX, highY);
        return (Avx2.UnpackLow(low, above).AsInt32(), Avx2.UnpackHigh(low, above).AsInt32(), Avx2.UnpackLow(high, aboveHigh).AsInt32(), Avx2.UnpackHigh(high, aboveHigh).AsInt32());
    }

    /// <summary>32 unsigned bytes less a number as float32, in the order of <see cref="PackSpread"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (Vector256<float> A, Vector256<float> B, Vector256<float> C, Vector256<float> D) Spread(Vector256<byte> bytes, int less)
    {
        if (!Avx2.IsSupported)
        {
            (Vector256<ushort> first, Vector256<ushort> second) = Vector256.Widen(bytes);
            (Vector256<uint> a, Vector256<uint> b) = Vector256.Widen(first);
            (Vector256<uint> c, Vector256<uint> d) = Vector256.Widen(second);
            Vector256<int> integer = Vector256.Create(less);
            return (Vector256.ConvertToSingle(a.AsInt32() - integer), Vector256.ConvertToSingle(b.AsInt32() - integer),
                Vector256.ConvertToSingle(c.AsInt32() - integer), Vector256.ConvertToSingle(d.AsInt32() - integer));
        }
        // A byte in the lowest bits of 2^23 is 2^23 more as a number; both steps are exact.
        const short upper = 0x4B00;
        Vector256<short> low = Avx2.UnpackLow(bytes, default).AsInt16(), high = Avx2.UnpackHigh(bytes, default).AsInt16(), u = Vector256.Create(upper);
        Vector256<float> l = Vector256.Create((float)((1 << 23) + less));
        return (Avx2.UnpackLow(low, u).AsSingle() - l, Avx2.UnpackHigh(low, u).AsSingle() - l, Avx2.UnpackLow(high, u).AsSingle() - l, Avx2.UnpackHigh(high, u).AsSingle() - l);
    }
}

/// <summary>A zero point as <see cref="Lanes"/> packs with it: quint8 is packed as qint8, 128 lower, and its sign bit flipped back.</summary>
internal readonly struct OutputZero
{
    // Inlined, so that a loop finds the numbers in registers.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public OutputZero(int zeroPoint, bool signed, bool relu = false)
    {
        Addend = (short)(signed ? zeroPoint : zeroPoint - 128);
        Flip = signed ? (byte)0 : (byte)0x80;
        Least = relu ? (sbyte)Addend : sbyte.MinValue;
    }

    public short Addend { get; }

    public byte Flip { get; }

    /// <summary>Nothing below this: the zero point with a ReLU.</summary>
    public sbyte Least { get; }
}
