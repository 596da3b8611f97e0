using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Layers;

/// <summary>x where x > 0, else x * slope, to given output parameters.</summary>
/// <remarks>Source: aten/native/quantized/cpu/qrelu.cpp (quantized::leaky_relu), kernels/QuantizedOpKernels.cpp leaky_qrelu_out_kernel; the same for every engine.</remarks>
public sealed class QuantizedLeakyRelu : QuantizedElementwise
{
    /// <param name="input">8-bit.</param>
    /// <param name="output">8-bit parameters of the result; at::leaky_relu keeps the input's.</param>
    /// <param name="negativeSlope">Slope below 0.</param>
    /// <param name="engine">All of PyTorch's engines agree.</param>
    /// <param name="options">Compat, PyTorch's version.</param>
    /// <exception cref="Errors.QuantException">UnsupportedDType.</exception>
    public QuantizedLeakyRelu(QParams input, QParams output, float negativeSlope = 0.01f, EngineKind engine = EngineKind.X86, LayerOptions? options = null)
        : base(input, options ?? new LayerOptions(), Maker(output, negativeSlope, engine, options ?? new LayerOptions()))
    {
    }

    private static Func<QParams, ElementwiseTables> Maker(QParams output, float slope, EngineKind engine, LayerOptions options)
    {
        float Value(float x) => x > 0f ? x : x * slope;
        return input => ElementwiseTables.Generic(input, output, engine, options, Value, Value);
    }
}
