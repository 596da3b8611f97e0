using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>float32 to whole steps, the zero point not yet added, for <see cref="Lanes"/> to pack.</summary>
internal interface IQuantizeSteps
{
    /// <param name="x">Real values.</param>
    /// <param name="factor">What <see cref="Factor"/> gave, in every lane.</param>
    /// <param name="zeroPoint">In every lane.</param>
    static abstract Vector512<int> Steps(Vector512<float> x, Vector512<float> factor, Vector512<int> zeroPoint);

    /// <inheritdoc cref="Steps(Vector512{float}, Vector512{float}, Vector512{int})"/>
    static abstract Vector256<int> Steps(Vector256<float> x, Vector256<float> factor, Vector256<int> zeroPoint);

    static abstract float Factor(in QuantizeRule rule);
}

/// <summary>PyTorch's rule.</summary>
internal readonly struct TorchSteps : IQuantizeSteps
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> Steps(Vector512<float> x, Vector512<float> factor, Vector512<int> zeroPoint) => Lanes.Round(x * factor);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Steps(Vector256<float> x, Vector256<float> factor, Vector256<int> zeroPoint) => Lanes.Round(x * factor);

    public static float Factor(in QuantizeRule rule) => rule.Inverse;
}

/// <summary>ONNX's rule.</summary>
internal readonly struct OnnxSteps : IQuantizeSteps
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> Steps(Vector512<float> x, Vector512<float> factor, Vector512<int> zeroPoint) => Lanes.Round(x / factor);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Steps(Vector256<float> x, Vector256<float> factor, Vector256<int> zeroPoint) => Lanes.Round(x / factor);

    public static float Factor(in QuantizeRule rule) => rule.Scale;
}

/// <summary>QuantizeCompat.Torch2PerTensor: NaN is a big number, and adding the zero point wraps.</summary>
internal readonly struct WrappingSteps : IQuantizeSteps
{
    private const float Biggest = 2147483520f;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> Steps(Vector512<float> x, Vector512<float> factor, Vector512<int> zeroPoint)
    {
        Vector512<float> v = x * factor, biggest = Vector512.Create(Biggest);
        v = Vector512.ConditionalSelect(Vector512.LessThan(v, biggest), v, biggest);
        return Lanes.Limit(Lanes.RoundIndefinite(v) + zeroPoint) - zeroPoint;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Steps(Vector256<float> x, Vector256<float> factor, Vector256<int> zeroPoint)
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
    public static Vector512<int> Steps(Vector512<float> x, Vector512<float> factor, Vector512<int> zeroPoint) => Lanes.RoundIndefinite(x * factor);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Steps(Vector256<float> x, Vector256<float> factor, Vector256<int> zeroPoint) => Lanes.RoundIndefinite(x * factor);

    public static float Factor(in QuantizeRule rule) => rule.Inverse;
}
