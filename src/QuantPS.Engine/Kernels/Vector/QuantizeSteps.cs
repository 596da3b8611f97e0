using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>float32 to whole steps, the zero point not yet added, for <see cref="Lanes"/> to pack.</summary>
internal interface IQuantizeSteps
{
    /// <param name="x">Real values.</param>
    /// <param name="factor">What <see cref="Factor"/> gave, in every lane.</param>
    /// <param name="inverse">The rule's f32(1/scale), in every lane.</param>
    /// <param name="zeroPoint">In every lane.</param>
    static abstract Vector512<int> Steps(Vector512<float> x, Vector512<float> factor, Vector512<float> inverse, Vector512<int> zeroPoint);

    /// <inheritdoc cref="Steps(Vector512{float}, Vector512{float}, Vector512{float}, Vector512{int})"/>
    static abstract Vector256<int> Steps(Vector256<float> x, Vector256<float> factor, Vector256<float> inverse, Vector256<int> zeroPoint);

    static abstract float Factor(in QuantizeRule rule);
}

/// <summary>The steps of four vectors.</summary>
internal static class QuantizeSteps
{
    /// <inheritdoc cref="IQuantizeSteps.Steps(Vector256{float}, Vector256{float}, Vector256{float}, Vector256{int})"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (Vector256<int> A, Vector256<int> B, Vector256<int> C, Vector256<int> D) Four<TSteps>(Vector256<float> a, Vector256<float> b, Vector256<float> c, Vector256<float> d,
        Vector256<float> factor, Vector256<float> inverse, Vector256<int> zeroPoint) where TSteps : IQuantizeSteps =>
        typeof(TSteps) == typeof(OnnxSteps)
            ? OnnxSteps.Four(a, b, c, d, factor, inverse)
            : (TSteps.Steps(a, factor, inverse, zeroPoint), TSteps.Steps(b, factor, inverse, zeroPoint), TSteps.Steps(c, factor, inverse, zeroPoint), TSteps.Steps(d, factor, inverse, zeroPoint));
}

/// <summary>PyTorch's rule.</summary>
internal readonly struct TorchSteps : IQuantizeSteps
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> Steps(Vector512<float> x, Vector512<float> factor, Vector512<float> inverse, Vector512<int> zeroPoint) => Lanes.Round(x * factor);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Steps(Vector256<float> x, Vector256<float> factor, Vector256<float> inverse, Vector256<int> zeroPoint) => Lanes.Round(x * factor);

    public static float Factor(in QuantizeRule rule) => rule.Inverse;
}

/// <summary>ONNX's rule, by dividing.</summary>
internal readonly struct DividingSteps : IQuantizeSteps
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> Steps(Vector512<float> x, Vector512<float> factor, Vector512<float> inverse, Vector512<int> zeroPoint) => Lanes.Round(x / factor);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Steps(Vector256<float> x, Vector256<float> factor, Vector256<float> inverse, Vector256<int> zeroPoint) => Lanes.Round(x / factor);

    public static float Factor(in QuantizeRule rule) => rule.Scale;
}

/// <summary>ONNX's rule for 8 bits and ordinary scales: multiplied by the reciprocal, and divided only where that comes near a tie. The same integers.</summary>
/// <remarks>x * f32(1/s) is off from x / s by less than 2^-22 of itself: below 2^9 steps, beyond which 8 bits saturate either way, by less than 2^-13 of a
/// step. Only values that are nearer than that to the middle between two integers can round otherwise. Of other values, one in 2,000 is sent to the
/// division, which takes 16 lanes about as many cycles.</remarks>
internal readonly struct OnnxSteps : IQuantizeSteps
{
    private const float Near = 0.5f - 1f / 4096;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> Steps(Vector512<float> x, Vector512<float> factor, Vector512<float> inverse, Vector512<int> zeroPoint)
    {
        Vector512<float> v = x * inverse;
        Vector512<int> steps = Lanes.Round(v);
        // Infinite and saturated lanes are far from their integer, too; a NaN's is the same either way.
        return Vector512.GreaterThanAny(Vector512.Abs(v - Vector512.ConvertToSingle(steps)), Vector512.Create(Near)) ? Lanes.Round(x / factor) : steps;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Steps(Vector256<float> x, Vector256<float> factor, Vector256<float> inverse, Vector256<int> zeroPoint)
    {
        Vector256<float> v = x * inverse;
        Vector256<int> steps = Lanes.Round(v);
        return Vector256.GreaterThanAny(Vector256.Abs(v - Vector256.ConvertToSingle(steps)), Vector256.Create(Near)) ? Lanes.Round(x / factor) : steps;
    }

    /// <summary>Four vectors, whose nearness to ties is asked for once.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (Vector256<int> A, Vector256<int> B, Vector256<int> C, Vector256<int> D) Four(Vector256<float> a, Vector256<float> b, Vector256<float> c, Vector256<float> d,
        Vector256<float> factor, Vector256<float> inverse)
    {
        Vector256<float> p = a * inverse, q = b * inverse, r = c * inverse, s = d * inverse;
        Vector256<int> stepsA = Lanes.Round(p), stepsB = Lanes.Round(q), stepsC = Lanes.Round(r), stepsD = Lanes.Round(s);
        p = Vector256.Abs(p - Vector256.ConvertToSingle(stepsA));
        q = Vector256.Abs(q - Vector256.ConvertToSingle(stepsB));
        r = Vector256.Abs(r - Vector256.ConvertToSingle(stepsC));
        s = Vector256.Abs(s - Vector256.ConvertToSingle(stepsD));
        Vector256<float> near = Vector256.Create(Near);
        Vector256<float> any = Vector256.GreaterThan(p, near) | Vector256.GreaterThan(q, near) | Vector256.GreaterThan(r, near) | Vector256.GreaterThan(s, near);
        return any.AsInt32() == Vector256<int>.Zero
            ? (stepsA, stepsB, stepsC, stepsD)
            : (Lanes.Round(a / factor), Lanes.Round(b / factor), Lanes.Round(c / factor), Lanes.Round(d / factor));
    }

    public static float Factor(in QuantizeRule rule) => rule.Scale;

    /// <summary>Whether scale and reciprocal are both far from the ends of float32, where they lose digits.</summary>
    public static bool Suits(in QuantizeRule rule) => rule.Scale is > 1e-30f and < 1e30f;
}

/// <summary>QuantizeCompat.Torch2PerTensor: NaN is a big number, and adding the zero point wraps.</summary>
internal readonly struct WrappingSteps : IQuantizeSteps
{
    private const float Biggest = 2147483520f;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> Steps(Vector512<float> x, Vector512<float> factor, Vector512<float> inverse, Vector512<int> zeroPoint)
    {
        Vector512<float> v = x * factor, biggest = Vector512.Create(Biggest);
        v = Vector512.ConditionalSelect(Vector512.LessThan(v, biggest), v, biggest);
        return Lanes.Limit(Lanes.RoundIndefinite(v) + zeroPoint) - zeroPoint;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Steps(Vector256<float> x, Vector256<float> factor, Vector256<float> inverse, Vector256<int> zeroPoint)
    {
        Vector256<float> v = x * factor, biggest = Vector256.Create(Biggest);
        v = Vector256.ConditionalSelect(Vector256.LessThan(v, biggest), v, biggest);
        return Lanes.Limit(Lanes.RoundIndefinite(v) + zeroPoint) - zeroPoint;
    }

    public static float Factor(in QuantizeRule rule) => rule.Inverse;
}

/// <summary>All of PyTorch's rules where no NaN can come and every step fits int32: there they are one.</summary>
internal readonly struct OrdinarySteps : IQuantizeSteps
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> Steps(Vector512<float> x, Vector512<float> factor, Vector512<float> inverse, Vector512<int> zeroPoint) => Lanes.RoundIndefinite(x * factor);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Steps(Vector256<float> x, Vector256<float> factor, Vector256<float> inverse, Vector256<int> zeroPoint) => Lanes.RoundIndefinite(x * factor);

    public static float Factor(in QuantizeRule rule) => rule.Inverse;
}

/// <summary>Values that are steps already: cvtps2dq and no more.</summary>
internal readonly struct WholeSteps : IQuantizeSteps
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> Steps(Vector512<float> x, Vector512<float> factor, Vector512<float> inverse, Vector512<int> zeroPoint) => Lanes.RoundIndefinite(x);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Steps(Vector256<float> x, Vector256<float> factor, Vector256<float> inverse, Vector256<int> zeroPoint) => Lanes.RoundIndefinite(x);

    public static float Factor(in QuantizeRule rule) => 1f;
}
