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
        Vector256<short> z = Vector256.Create(zero.Addend);
        Vector256<byte> flip = Vector256.Create(zero.Flip);
        Vector256<sbyte> least = Vector256.Create(zero.Least);
        if (!Avx2.IsSupported)
        {
            Vector256<short> low = Vector256.AddSaturate(Vector256.NarrowWithSaturation(a, b), z), high = Vector256.AddSaturate(Vector256.NarrowWithSaturation(c, d), z);
            return Vector256.Max(Vector256.NarrowWithSaturation(low, high), least).AsByte() ^ flip;
        }
        Vector256<short> ab = Avx2.AddSaturate(Avx2.PackSignedSaturate(a, b), z), cd = Avx2.AddSaturate(Avx2.PackSignedSaturate(c, d), z);
        Vector256<sbyte> bytes = Vector256.Max(Avx2.PackSignedSaturate(ab, cd), least);
        return Avx2.PermuteVar8x32(bytes.AsInt32(), Vector256.Create(0, 4, 1, 5, 2, 6, 3, 7)).AsByte() ^ flip;
    }
}

/// <summary>A zero point as <see cref="Lanes"/> packs with it: quint8 is packed as qint8, 128 lower, and its sign bit flipped back.</summary>
internal readonly struct OutputZero(int zeroPoint, bool signed, bool relu = false)
{
    public short Addend { get; } = (short)(signed ? zeroPoint : zeroPoint - 128);

    public byte Flip { get; } = signed ? (byte)0 : (byte)0x80;

    /// <summary>Nothing below this: the zero point with a ReLU.</summary>
    public sbyte Least { get; } = (sbyte)(relu ? (signed ? zeroPoint : zeroPoint - 128) : sbyte.MinValue);
}
