using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>How bytes become int32: quint8 or qint8.</summary>
internal interface IByteKind
{
    /// <summary>Sixteen bytes.</summary>
    static abstract Vector512<int> Widen512(ref byte b);

    /// <summary>Eight bytes.</summary>
    static abstract Vector256<int> Widen256(ref byte b);

    /// <summary>32 bytes in the order of <see cref="Lanes.PackSpread"/>.</summary>
    static abstract (Vector256<float> A, Vector256<float> B, Vector256<float> C, Vector256<float> D) Spread256(ref byte b);
}

/// <summary>quint8.</summary>
internal readonly struct UnsignedBytes : IByteKind
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> Widen512(ref byte b) => Lanes.Unsigned(Vector128.LoadUnsafe(ref b));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Widen256(ref byte b) => Lanes.UnsignedAt(ref b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (Vector256<float> A, Vector256<float> B, Vector256<float> C, Vector256<float> D) Spread256(ref byte b) => Lanes.Spread(Vector256.LoadUnsafe(ref b), 0);
}

/// <summary>qint8.</summary>
internal readonly struct SignedBytes : IByteKind
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> Widen512(ref byte b) => Lanes.Signed(Vector128.LoadUnsafe(ref b));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Widen256(ref byte b) => Lanes.SignedAt(ref b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (Vector256<float> A, Vector256<float> B, Vector256<float> C, Vector256<float> D) Spread256(ref byte b) => Lanes.Spread(Vector256.LoadUnsafe(ref b) ^ Vector256.Create((byte)128), 128);
}

/// <summary>Integers to real values by a scale and a second number.</summary>
internal interface IRealKind
{
    static abstract float Second(float scale, int zeroPoint);

    static abstract Vector512<float> Real(Vector512<float> q, Vector512<float> scale, Vector512<float> second);

    static abstract Vector256<float> Real(Vector256<float> q, Vector256<float> scale, Vector256<float> second);
}

/// <summary>scale * (q - zp).</summary>
internal readonly struct PlainReals : IRealKind
{
    public static float Second(float scale, int zeroPoint) => zeroPoint;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Real(Vector512<float> q, Vector512<float> scale, Vector512<float> second) => scale * (q - second);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Real(Vector256<float> q, Vector256<float> scale, Vector256<float> second) => scale * (q - second);
}

/// <summary>fma(scale, q, scale * -zp), as ATen's vector blocks have it.</summary>
internal readonly struct FusedReals : IRealKind
{
    public static float Second(float scale, int zeroPoint) => scale * -zeroPoint;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Real(Vector512<float> q, Vector512<float> scale, Vector512<float> second) => Vector512.FusedMultiplyAdd(q, scale, second);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Real(Vector256<float> q, Vector256<float> scale, Vector256<float> second) => Vector256.FusedMultiplyAdd(q, scale, second);
}
