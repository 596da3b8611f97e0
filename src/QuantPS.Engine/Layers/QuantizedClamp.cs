using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Layers;

/// <summary>clamp, hardtanh: q limited to the quantized bounds; parameters unchanged.</summary>
/// <remarks>Source: aten/native/quantized/cpu/qclamp.cpp, kernels/QuantizedOpKernels.cpp qclamp_kernel: min_q = quantize(min), max_q = quantize(max),
/// then min(max(q, min_q), max_q). The same integers from every engine.</remarks>
public sealed class QuantizedClamp : QuantizedElementwise
{
    /// <param name="input">8-bit.</param>
    /// <param name="min">Lower bound, real; null for none.</param>
    /// <param name="max">Upper bound, real; null for none.</param>
    /// <exception cref="QuantException">UnsupportedDType; InvalidArgument: min above max.</exception>
    public QuantizedClamp(QParams input, float? min, float? max)
        : base(input, new LayerOptions(), Maker(min, max))
    {
        if (min > max)
            throw new QuantException(ErrorIds.InvalidArgument, $"Clamping needs min <= max, not {min} and {max}.");
    }

    /// <summary>ReLU6: clamped to 0..6.</summary>
    public static QuantizedClamp Relu6(QParams input) => new(input, 0f, 6f);

    private static Func<QParams, ElementwiseTables> Maker(float? min, float? max) => input =>
    {
        (int low, int high) = input.DType.Range();
        float inverse = 1f / input.Scales[0];
        int minimum = min is { } a ? Quantizer.QuantizeTorch(a, inverse, input.ZeroPoints[0], low, high) : low;
        int maximum = max is { } b ? Quantizer.QuantizeTorch(b, inverse, input.ZeroPoints[0], low, high) : high;
        return ElementwiseTables.Direct(input, input, q => Math.Min(Math.Max(q, minimum), maximum));
    };
}
