using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace QuantPS.Engine.Numerics;

/// <summary>The normative rounding rules. Every other kernel is bit-equal to these.</summary>
public static class Rounding
{
    /// <summary>What x86's cvtps2dq and cvttss2si give for NaN and for anything outside int32 ("integer indefinite").</summary>
    public const int Indefinite = int.MinValue;

    /// <summary>2^31 as float32; the smallest positive value that no int32 holds.</summary>
    private const float TwoTo31 = 2147483648f;

    /// <summary>Rounds half to even, staying in float32.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float HalfToEven(float v) => MathF.Round(v, MidpointRounding.ToEven);

    /// <summary>float32 to int32, half to even; NaN and out of range give <see cref="Indefinite"/>.</summary>
    /// <remarks>Intel SDM, CVTPS2DQ. FBGEMM's and QNNPACK's x86 kernels depend on the overflow case: a positive result beyond
    /// 2^31 becomes INT32_MIN and then the output minimum. C#'s own conversion saturates, hence the spelled-out form.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int ConvertToInt32(float v)
    {
        if (Sse2.IsSupported)
            return Sse.ConvertToInt32(Vector128.CreateScalarUnsafe(v));
        float r = HalfToEven(v);
        return r >= -TwoTo31 && r < TwoTo31 ? (int)r : Indefinite;
    }

    /// <summary>float32 to int32, truncating; NaN and out of range give <see cref="Indefinite"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int TruncateToInt32(float v) => v >= -TwoTo31 && v < TwoTo31 ? (int)v : Indefinite;

    /// <summary>Rounds half to even and saturates to [min, max]; NaN gives <paramref name="min"/>.</summary>
    /// <remarks>The sane rule, which agrees with every engine on finite values that fit int32.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Saturate(float v, int min, int max)
    {
        float r = HalfToEven(v);
        if (!(r > min))
            return min;
        // (float)max may round up (int.MaxValue becomes 2^31), hence >= and no conversion in that case.
        return r >= max ? max : (int)r;
    }
}
