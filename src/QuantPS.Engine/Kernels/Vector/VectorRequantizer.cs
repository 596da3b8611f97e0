using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using QuantPS.Engine.Numerics.Requantization;

namespace QuantPS.Engine.Kernels.Vector;

/// <summary>A <see cref="RequantizationForm"/> on eight neighbouring channels at once; lane i is channel c + i. Equal to the scalar rule bit for bit.</summary>
internal sealed class VectorRequantizer(RequantizationForm form)
{
    private static readonly Vector256<float> TwoTo31 = Vector256.Create(2147483648f);

    /// <summary>Eight accumulators, without bias, to eight output integers (in int32 lanes).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector256<int> Apply(Vector256<int> accumulators, int channel)
    {
        if (form.IntegerBias is { } integers)
            accumulators += Load(integers, channel);
        Vector256<float> v = Vector256.ConvertToSingle(accumulators);
        if (form.FusedBias is { } bias)
            v = Vector256.FusedMultiplyAdd(Load(bias, channel), Load(form.FusedFactor!, channel), v);
        if (form.AddBefore is { } before)
            v += Load(before, channel);
        v *= Load(form.Multiplier, channel);
        if (form.AddAfter is { } after)
            v += Load(after, channel);
        if (form.Factor is float factor)
            v *= Vector256.Create(factor);
        switch (form.Tail)
        {
            case RequantizationTail.RoundClampAdd:
                // Through int16 as packssdw and paddsw do it: clamping to [low - z, high - z] comes to the same.
                Vector256<int> i = Round(v);
                i = Vector256.Max(i, Vector256.Create(form.Low - form.ZeroPoint));
                return Vector256.Min(i, Vector256.Create(form.High - form.ZeroPoint)) + Vector256.Create(form.ZeroPoint);
            case RequantizationTail.ClampRoundAdd:
                return Round(Clamp(v, form.Low - form.ZeroPoint, form.High - form.ZeroPoint)) + Vector256.Create(form.ZeroPoint);
            default:
                return Round(Clamp(v + Vector256.Create((float)form.ZeroPoint), form.Low, form.High));
        }
    }

    /// <summary>maxps and minps with the limit second: NaN ends at the lower limit.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Clamp(Vector256<float> v, float low, float high)
    {
        Vector256<float> lows = Vector256.Create(low), highs = Vector256.Create(high);
        v = Vector256.ConditionalSelect(Vector256.GreaterThan(v, lows), v, lows);
        return Vector256.ConditionalSelect(Vector256.LessThan(v, highs), v, highs);
    }

    /// <summary>cvtps2dq: half to even; NaN and out of range give INT32_MIN on every CPU.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Round(Vector256<float> v)
    {
        Vector256<float> r = Vector256.Round(v);
        Vector256<float> fits = Vector256.GreaterThanOrEqual(r, -TwoTo31) & Vector256.LessThan(r, TwoTo31);
        return Vector256.ConditionalSelect(fits.AsInt32(), Vector256.ConvertToInt32Native(r), Vector256.Create(int.MinValue));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<T> Load<T>(T[] values, int channel) => Vector256.LoadUnsafe(ref MemoryMarshal.GetArrayDataReference(values), (nuint)channel);
}
