using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Layers;

/// <summary>min(max(x + 3, 0), 6) / 6. The output is fixed: scale 1/256, zero point 0 (quint8) or -128 (qint8).</summary>
/// <remarks>Source: kernels/QuantizedOpKernels.cpp qhardsigmoid_kernel; QNNPACK: qnnpack/src/hardsigmoid.c.</remarks>
public sealed class QuantizedHardSigmoid : QuantizedElementwise
{
    private const float FixedScale = 1f / 256f;

    /// <param name="input">8-bit.</param>
    /// <param name="engine">qnnpack has its own table for quint8.</param>
    /// <param name="options">Compat, PyTorch's version.</param>
    /// <exception cref="Errors.QuantException">UnsupportedDType.</exception>
    public QuantizedHardSigmoid(QParams input, EngineKind engine = EngineKind.X86, LayerOptions? options = null)
        : base(input, options ?? new LayerOptions(), Maker(engine, options ?? new LayerOptions()))
    {
    }

    private static float Value(float x) => MathF.Min(MathF.Max(x + 3f, 0f), 6f) / 6f;

    private static Func<QParams, ElementwiseTables> Maker(EngineKind engine, LayerOptions options) => input =>
    {
        var output = new QParams(FixedScale, input.DType == QDType.QInt8 ? -128 : 0, input.DType);
        return ElementwiseTables.TakesQnnpack(engine, input)
            ? ElementwiseTables.Qnnpack(input, output, x => 256f * Value(x))
            : ElementwiseTables.Generic(input, output, engine, options, Value, Value);
    };
}
