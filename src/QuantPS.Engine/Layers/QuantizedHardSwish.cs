using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Layers;

/// <summary>x * min(max(x + 3, 0), 6) / 6, to given output parameters.</summary>
/// <remarks>Source: kernels/QuantizedOpKernels.cpp qhardswish_kernel; QNNPACK: qnnpack/src/hardswish.c, where the zero point is added before rounding.</remarks>
public sealed class QuantizedHardSwish : QuantizedElementwise
{
    /// <param name="input">8-bit.</param>
    /// <param name="output">8-bit parameters of the result.</param>
    /// <param name="engine">qnnpack has its own table for quint8.</param>
    /// <param name="options">Compat, PyTorch's version.</param>
    /// <exception cref="Errors.QuantException">UnsupportedDType.</exception>
    public QuantizedHardSwish(QParams input, QParams output, EngineKind engine = EngineKind.X86, LayerOptions? options = null)
        : base(input, options ?? new LayerOptions(), Maker(output, engine, options ?? new LayerOptions()))
    {
    }

    private static float Value(float x) => x * MathF.Min(MathF.Max(x + 3f, 0f), 6f) / 6f;

    private static Func<QParams, ElementwiseTables> Maker(QParams output, EngineKind engine, LayerOptions options)
    {
        float inverse = 1f / output.Scales[0];
        int zeroPoint = output.ZeroPoints[0];
        return input => ElementwiseTables.TakesQnnpack(engine, input)
            ? ElementwiseTables.Qnnpack(input, output, x => inverse * Value(x) + zeroPoint)
            : ElementwiseTables.Generic(input, output, engine, options, Value, Value);
    }
}
