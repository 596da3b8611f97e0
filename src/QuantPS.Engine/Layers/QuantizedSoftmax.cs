using QuantPS.Engine.Errors;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>exp(x) over the sum of exp(x) along a dimension, or over all dimensions from one on.</summary>
/// <remarks>quantize(softmax(dequantize(x))): the float formula, with a table for exp. Where ONNX Runtime has integers of one type on both sides, it computes
/// QLinearSoftmax (onnxruntime/contrib_ops/cpu/quantization/qlinear_softmax.cc; pairs become that by
/// core/optimizer/qdq_transformer/selectors_actions/qdq_selector_action_transformer.cc, UnaryOpQDQRules), which is the same but for one thing: a
/// probability of 1 has floor(1 / scale) steps, which for 1/255 in float32 is 254.</remarks>
public sealed class QuantizedSoftmax
{
    private readonly int axis;
    private readonly bool flattens;
    private readonly SoftmaxRule rule;

    /// <param name="input">8-bit parameters of the input.</param>
    /// <param name="output">8-bit parameters of the result.</param>
    /// <param name="axis">The dimension; negative ones count from the end.</param>
    /// <param name="flattens">All dimensions from the axis on together, as ONNX had it before opset 13.</param>
    /// <param name="wholeSteps">A probability of 1 has a whole number of steps, as QLinearSoftmax has it.</param>
    /// <exception cref="QuantException">UnsupportedDType.</exception>
    public QuantizedSoftmax(QParams input, QParams output, int axis = -1, bool flattens = false, bool wholeSteps = false)
    {
        OperatorChecks.EightBit(input, "The input");
        OperatorChecks.EightBit(output, "The result");
        InputQParams = input;
        OutputQParams = output;
        this.axis = axis;
        this.flattens = flattens;
        rule = new SoftmaxRule(input, output, wholeSteps ? MathF.Floor(1f / output.Scales[0]) : 1.0 / output.Scales[0]);
    }

    public QParams InputQParams { get; }

    public QParams OutputQParams { get; }

    /// <summary>The integers count as <see cref="InputQParams"/> says, whose zero point does not matter.</summary>
    /// <exception cref="QuantException">InvalidShape: no such dimension; UnsupportedDType: another dtype.</exception>
    public QuantizedTensor Run(QuantizedTensor x)
    {
        OperatorChecks.SameDType(x.QParams, InputQParams, "The softmax");
        int first = TensorShape.NormalizeAxis(axis, x.Rank);
        int inner = flattens ? 1 : TensorShape.Count(x.Dims[(first + 1)..]);
        if (inner > 1)
        {
            // The dimension changes places with the last one, there and back.
            int[] order = [.. Enumerable.Range(0, x.Rank)];
            (order[first], order[^1]) = (order[^1], order[first]);
            return QuantizedRearrange.Permute(Rows(QuantizedRearrange.Permute(x, order), x.Dims[first]), order);
        }
        return Rows(x, TensorShape.Count(x.Dims[first..]));
    }

    private QuantizedTensor Rows(QuantizedTensor x, int length)
    {
        QuantizedTensor y = OperatorChecks.NewTensor(x.Shape, OutputQParams, x);
        if (x.Length > 0)
            SoftmaxKernel.Run(x.Memory, y.Memory, length, rule);
        return y;
    }
}
