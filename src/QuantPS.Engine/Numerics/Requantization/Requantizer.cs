using System.Runtime.CompilerServices;

namespace QuantPS.Engine.Numerics.Requantization;

/// <summary>Turns int32 accumulators into output integers by one engine's formula. The scalar rule here is normative: every kernel is bit-equal to it.</summary>
public abstract class Requantizer
{
    protected Requantizer(RequantizationSpec spec)
    {
        Spec = spec;
        // Where a limit lies below the zero point, it wins, as in min(max(q, low), high).
        OutputLow = spec.Relu ? Math.Min(Math.Max(spec.OutputMin, spec.OutputZeroPoint), spec.OutputMax) : spec.OutputMin;
    }

    /// <summary>What the formula was made from.</summary>
    public RequantizationSpec Spec { get; }

    /// <summary>The int32 bias per output channel where the engine makes one (scale: input scale x weight scale, zero point 0); else null.</summary>
    public virtual int[]? IntegerBias => null;

    /// <summary>The formula as data, for vector kernels.</summary>
    public abstract RequantizationForm Form { get; }

    /// <summary>Smallest output integer: the dtype's minimum, or the zero point behind a ReLU.</summary>
    protected int OutputLow { get; }

    /// <summary>One accumulator, sum of (x - z_x)(w - z_w) without bias, to one output integer.</summary>
    public abstract int Apply(int accumulator, int channel);

    /// <summary>The same with every step kept.</summary>
    public abstract RequantizationTrace Trace(int accumulator, int channel);

    /// <summary>The tail shared by FBGEMM's and QNNPACK's x86 kernels: cvtps2dq, packssdw, paddsw, pack to 8 bits.</summary>
    /// <remarks>A value of 2^31 or more becomes INT32_MIN in the first step, and so the output minimum.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    protected int PackSaturating(float v)
    {
        int i = Math.Clamp(Rounding.ConvertToInt32(v), short.MinValue, short.MaxValue);
        i = Math.Clamp(i + Spec.OutputZeroPoint, short.MinValue, short.MaxValue);
        return Math.Max(Math.Clamp(i, Spec.OutputMin, Spec.OutputMax), OutputLow);
    }

    /// <summary>oneDNN's tail: the zero point is added and the value clamped as float32, before rounding.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    protected int ClampThenRound(float v)
    {
        v += Spec.OutputZeroPoint;
        // maxps and minps return their second operand for NaN: a NaN ends at the minimum.
        v = v > Spec.OutputMin ? v : Spec.OutputMin;
        v = v < Spec.OutputMax ? v : Spec.OutputMax;
        return Rounding.ConvertToInt32(v);
    }

    /// <summary>oneDNN's ReLU on a float: maxps with 0 second, so that a NaN becomes 0 (jit_uni_eltwise_injector.cpp, relu_zero_ns).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    protected static float ReluOfFloat(float v) => v > 0f ? v : 0f;

    protected float[] PerChannel(Func<int, float> value)
    {
        var values = new float[Spec.OutputChannels];
        for (int c = 0; c < values.Length; c++)
            values[c] = value(c);
        return values;
    }
}
