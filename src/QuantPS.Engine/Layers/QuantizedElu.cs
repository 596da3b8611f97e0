using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Layers;

/// <summary>scale * x where x > 0, else scale * alpha * (e^(inputScale * x) - 1), to given output parameters.</summary>
/// <remarks>Source: aten/native/quantized/cpu/qelu.cpp (quantized::elu, quantized::celu), kernels/QuantizedOpKernels.cpp qelu_kernel
/// (expm1 by SLEEF); the same for every engine. The two factors are ELU's own coefficients, not quantization scales.</remarks>
public sealed class QuantizedElu : QuantizedElementwise
{
    /// <param name="input">8-bit.</param>
    /// <param name="output">8-bit parameters of the result.</param>
    /// <param name="alpha">Limit below 0.</param>
    /// <param name="scale">Factor of the whole.</param>
    /// <param name="inputScale">Factor inside the exponential.</param>
    /// <param name="engine">All of PyTorch's engines agree.</param>
    /// <param name="options">Compat, PyTorch's version.</param>
    /// <exception cref="Errors.QuantException">UnsupportedDType.</exception>
    public QuantizedElu(QParams input, QParams output, float alpha = 1f, float scale = 1f, float inputScale = 1f, EngineKind engine = EngineKind.X86, LayerOptions? options = null)
        : base(input, options ?? new LayerOptions(), Maker(output, alpha, scale, inputScale, engine, options ?? new LayerOptions()))
    {
    }

    /// <summary>CELU: max(0, x) + min(0, alpha * (e^(x / alpha) - 1)), which is ELU with input factor 1 / alpha.</summary>
    public static QuantizedElu Celu(QParams input, QParams output, double alpha = 1, EngineKind engine = EngineKind.X86, LayerOptions? options = null) =>
        new(input, output, (float)alpha, 1f, (float)(1.0 / alpha), engine, options);

    private static Func<QParams, ElementwiseTables> Maker(QParams output, float alpha, float scale, float inputScale, EngineKind engine, LayerOptions options) =>
        input => ElementwiseTables.Generic(input, output, engine, options,
            x => (x > 0f ? x : SleefMath.ExpM1(x * inputScale) * alpha) * scale,
            x => x >= 0f ? x * scale : SleefMath.ExpM1(x * inputScale) * alpha * scale);
}
