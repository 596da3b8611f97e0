using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Layers;

/// <summary>tanh. The output is fixed: scale 2/256, zero point 128 (quint8) or 0 (qint8).</summary>
/// <remarks>Source: kernels/QuantizedOpKernels.cpp qtanh_kernel (tanh by SLEEF); QNNPACK: qnnpack/src/tanh.c, rne(f32(128 * tanh(x) + 128)), in double.</remarks>
public sealed class QuantizedTanh : QuantizedElementwise
{
    private const float FixedScale = 2f / 256f;

    /// <param name="input">8-bit.</param>
    /// <param name="engine">qnnpack has its own table for quint8.</param>
    /// <param name="options">Compat, PyTorch's version.</param>
    /// <exception cref="Errors.QuantException">UnsupportedDType.</exception>
    public QuantizedTanh(QParams input, EngineKind engine = EngineKind.X86, LayerOptions? options = null)
        : base(input, options ?? new LayerOptions(), Maker(engine, options ?? new LayerOptions()))
    {
    }

    private static Func<QParams, ElementwiseTables> Maker(EngineKind engine, LayerOptions options) => input =>
    {
        var output = new QParams(FixedScale, input.DType == QDType.QInt8 ? 0 : 128, input.DType);
        return ElementwiseTables.TakesQnnpack(engine, input)
            ? ElementwiseTables.Qnnpack(input, output, x => (float)(128f * Math.Tanh(x) + 128f))
            : ElementwiseTables.Generic(input, output, engine, options, SleefMath.Tanh, x => (float)Math.Tanh(x));
    };
}
