using QuantPS.Engine.Errors;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>The sum of two tensors, either times a factor per channel, normalized over the last dimension, which are the channels: quantize(layer_norm(dequantize(a) * f +
/// dequantize(b) * g)). The sum is never rounded to 8 bits.</summary>
/// <remarks>Source: onnx docs/Operators.md, LayerNormalization; onnxruntime docs/ContribOperators.md, SkipLayerNormalization, which ONNX Runtime makes of the float nodes in a file. Float sums in
/// another order than there: results differ where a value is that near a tie.</remarks>
public sealed class QuantizedNormalizedSum
{
    private readonly NormalizedSumRule rule;
    private readonly QParams a, b;

    /// <param name="a">8-bit parameters of the first operand.</param>
    /// <param name="factorsOfA">What it is multiplied with, per channel; null for nothing.</param>
    /// <param name="b">8-bit parameters of the second operand.</param>
    /// <param name="factorsOfB">What it is multiplied with, per channel; null for nothing.</param>
    /// <param name="output">8-bit parameters of the result.</param>
    /// <param name="gain">A factor per channel.</param>
    /// <param name="bias">A summand per channel; null for none.</param>
    /// <param name="epsilon">Added to the variance.</param>
    /// <exception cref="QuantException">UnsupportedDType; ShapeMismatch: different numbers of channels, or none.</exception>
    public QuantizedNormalizedSum(QParams a, float[]? factorsOfA, QParams b, float[]? factorsOfB, QParams output, float[] gain, float[]? bias, float epsilon = 1e-5f)
    {
        OperatorChecks.EightBit(a, "The first operand");
        OperatorChecks.EightBit(b, "The second operand");
        OperatorChecks.EightBit(output, "The result");
        if (gain.Length == 0 || ((float[]?[])[factorsOfA, factorsOfB, bias]).Any(v => v is not null && v.Length != gain.Length))
            throw new QuantException(ErrorIds.ShapeMismatch, $"A normalized sum has {gain.Length} factors; it needs as many offsets and factors of its operands, or none.", gain);
        (this.a, this.b, OutputQParams) = (a, b, output);
        rule = new NormalizedSumRule(a, factorsOfA, b, factorsOfB, output, gain, bias, epsilon);
    }

    public QParams OutputQParams { get; }

    /// <summary>Shapes broadcast, but for the last dimension.</summary>
    /// <param name="x">One operand.</param>
    /// <param name="y">The other.</param>
    /// <param name="inPlace">x's memory may be written over.</param>
    /// <exception cref="QuantException">ShapeMismatch; UnsupportedDType: another dtype.</exception>
    public QuantizedTensor Run(QuantizedTensor x, QuantizedTensor y, bool inPlace = false)
    {
        OperatorChecks.SameDType(x.QParams, a, "A normalized sum");
        OperatorChecks.SameDType(y.QParams, b, "A normalized sum");
        if (x.Rank == 0 || y.Rank == 0 || x.Dims[^1] != rule.Length || y.Dims[^1] != rule.Length)
            throw new QuantException(ErrorIds.ShapeMismatch, $"A normalized sum of {rule.Length} channels does not fit [{TensorShape.Format(x.Dims)}] and [{TensorShape.Format(y.Dims)}].", x);
        Broadcast rows = new(x.Dims[..^1], y.Dims[..^1]);
        int[] shape = [.. rows.Shape, rule.Length];
        (int[]? rowsOfX, int[]? rowsOfY) = rows.IsPlain ? default : Rows(rows);
        bool goesAlong = shape.AsSpan().SequenceEqual(x.Dims);
        QuantizedTensor result = inPlace && goesAlong ? new(shape, x.Memory, OutputQParams) { Source = x.Source } : OperatorChecks.NewTensor(shape, OutputQParams, x);
        NormalizedSumKernel.Run(x.Memory, y.Memory, rowsOfX, rowsOfY, result.Memory, rule);
        return result;
    }

    /// <summary>Which rows of the operands each row of the result takes.</summary>
    private static (int[] OfX, int[] OfY) Rows(Broadcast rows)
    {
        int[] ofX = new int[TensorShape.Count(rows.Shape)], ofY = new int[ofX.Length];
        rows.ForEachRun(0, rows.Runs, (at, x, y, length, stepX, stepY) =>
        {
            for (int i = 0; i < length; i++)
                (ofX[at + i], ofY[at + i]) = (x + i * stepX, y + i * stepY);
        });
        return (ofX, ofY);
    }
}
