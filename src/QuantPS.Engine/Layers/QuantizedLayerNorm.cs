using QuantPS.Engine.Errors;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>The last dimensions to mean 0 and deviation 1, times a factor, plus an offset: quantize(layer_norm(dequantize(x))).</summary>
/// <remarks>Source: onnx docs/Operators.md, LayerNormalization; onnxruntime/core/providers/cpu/nn/layer_norm_impl.cc, ComputeJob, which adds up the sums of
/// values and squares in float32. Here both are exact, as integers, and float32 begins behind them: results differ where a value is that near a tie.</remarks>
public sealed class QuantizedLayerNorm
{
    private readonly LayerNormRule rule;

    /// <param name="input">8-bit parameters of the input.</param>
    /// <param name="output">8-bit parameters of the result.</param>
    /// <param name="gain">A factor for every element that is normalized together.</param>
    /// <param name="bias">A summand for each of them; null for none.</param>
    /// <param name="epsilon">Added to the variance.</param>
    /// <exception cref="QuantException">UnsupportedDType; ShapeMismatch: factors and summands differ in number, or there are none.</exception>
    public QuantizedLayerNorm(QParams input, QParams output, float[] gain, float[]? bias, float epsilon = 1e-5f)
    {
        OperatorChecks.EightBit(input, "The input");
        OperatorChecks.EightBit(output, "The result");
        if (gain.Length == 0 || (bias is not null && bias.Length != gain.Length))
            throw new QuantException(ErrorIds.ShapeMismatch, $"Layer normalization has {gain.Length} factors and {bias?.Length ?? 0} offsets; it needs as many offsets as factors, or none.", gain);
        InputQParams = input;
        OutputQParams = output;
        rule = new LayerNormRule(input, output, gain, bias, epsilon);
    }

    public QParams InputQParams { get; }

    public QParams OutputQParams { get; }

    /// <param name="x">[..., normalized...]; the integers count as <see cref="InputQParams"/> says.</param>
    /// <param name="inPlace">x's memory may be written over.</param>
    /// <exception cref="QuantException">ShapeMismatch: no number of rows of as many elements as there are factors; UnsupportedDType: another dtype.</exception>
    public QuantizedTensor Run(QuantizedTensor x, bool inPlace = false)
    {
        OperatorChecks.SameDType(x.QParams, InputQParams, "Layer normalization");
        if (x.Rank == 0 || x.Length % rule.Length != 0)
            throw new QuantException(ErrorIds.ShapeMismatch, $"Layer normalization over {rule.Length} elements does not fit [{TensorShape.Format(x.Dims)}].", x);
        QuantizedTensor y = inPlace ? new(x.Shape, x.Memory, OutputQParams) { Source = x.Source } : OperatorChecks.NewTensor(x.Shape, OutputQParams, x);
        LayerNormKernel.Run(x.Memory, y.Memory, rule);
        return y;
    }
}
