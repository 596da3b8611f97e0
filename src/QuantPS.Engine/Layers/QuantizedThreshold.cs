using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Layers;

/// <summary>x where x > threshold, else value; parameters unchanged.</summary>
/// <remarks>Source: aten/native/quantized/cpu/qthreshold.cpp, kernels/QuantizedOpKernels.cpp qthreshold_kernel; the same for every engine.</remarks>
public sealed class QuantizedThreshold : QuantizedElementwise
{
    /// <param name="input">8-bit.</param>
    /// <param name="threshold">Real.</param>
    /// <param name="value">What replaces x at or below the threshold, real.</param>
    /// <param name="engine">All of PyTorch's engines agree.</param>
    /// <param name="options">Compat, PyTorch's version.</param>
    /// <exception cref="Errors.QuantException">UnsupportedDType.</exception>
    public QuantizedThreshold(QParams input, float threshold, float value, EngineKind engine = EngineKind.X86, LayerOptions? options = null)
        : base(input, options ?? new LayerOptions(), Maker(threshold, value, engine, options ?? new LayerOptions()))
    {
    }

    private static Func<QParams, ElementwiseTables> Maker(float threshold, float value, EngineKind engine, LayerOptions options)
    {
        float Value(float x) => x > threshold ? x : value;
        return input => ElementwiseTables.Generic(input, input, engine, options, Value, Value);
    }
}
