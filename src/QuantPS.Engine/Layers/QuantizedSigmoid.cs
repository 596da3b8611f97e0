using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Layers;

/// <summary>1 / (1 + e^-x). The output is fixed, scale 1/256 with zero point 0 (quint8) or -128 (qint8), unless parameters are given (quantized::sigmoid).</summary>
/// <remarks>
/// Source: aten/native/quantized/cpu/qsigmoid.cpp; kernels/QuantizedOpKernels.cpp qsigmoid_kernel: quantize(1 / (1 + exp(-x))), exp by SLEEF;
/// torch 2 dequantizes here as scale * (q - zp), torch 1.13 with the fused form. QNNPACK: qnnpack/src/sigmoid.c, rne(256 / (1 + expf(-x))).
/// </remarks>
public sealed class QuantizedSigmoid : QuantizedElementwise
{
    private const float FixedScale = 1f / 256f;

    /// <param name="input">8-bit.</param>
    /// <param name="engine">qnnpack has its own table for quint8.</param>
    /// <param name="options">Compat, PyTorch's version.</param>
    /// <param name="output">8-bit parameters of the result; null for the fixed ones.</param>
    /// <exception cref="QuantException">UnsupportedDType; InvalidScale: QNNPACK knows the fixed output only.</exception>
    public QuantizedSigmoid(QParams input, EngineKind engine = EngineKind.X86, LayerOptions? options = null, QParams? output = null)
        : base(input, options ?? new LayerOptions(), Maker(engine, options ?? new LayerOptions(), output))
    {
    }

    private static Func<QParams, ElementwiseTables> Maker(EngineKind engine, LayerOptions options, QParams? given) => input =>
    {
        QParams output = given ?? new QParams(FixedScale, input.DType == QDType.QInt8 ? -128 : 0, input.DType);
        if (ElementwiseTables.TakesQnnpack(engine, input))
        {
            if (output.Scales[0] != FixedScale || output.ZeroPoints[0] != 0)
                throw new QuantException(ErrorIds.InvalidScale, $"QNNPACK's sigmoid has the output scale 1/256 and zero point 0, not {output}. Leave the output out, or name another engine.", output);
            return ElementwiseTables.Qnnpack(input, output, x => 256f / (1f + (float)Math.Exp(-x)));
        }
        return ElementwiseTables.Generic(input, output, engine, options, x => 1f / (1f + SleefMath.Exp(-x)), x => (float)(1f / (1.0 + (float)Math.Exp(-x))),
            fused: options.TorchVersion == TorchVersion.V1_13);
    };
}
