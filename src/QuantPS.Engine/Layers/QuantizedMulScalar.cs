using QuantPS.Engine.Errors;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>Multiplies by a number: PyTorch's quantized::mul_scalar, mul_scalar_relu and FloatFunctional.mul_scalar. Nothing is rounded: the parameters change.</summary>
/// <remarks>
/// Source: aten/native/quantized/cpu/qmul.cpp _mul_scalar_out. c > 0: integers and zero point stay, s' = c * s. c = 0: integers, zero point 0, scale 1.
/// c below 0: q' = q_max + q_min - q, z' = q_max - (z - q_min), s' = |c| * s. ReLU: max(., z'). The same for every engine.
/// PyTorch keeps s' in double; here it is rounded to float32, as every kernel that reads it does.
/// </remarks>
public sealed class QuantizedMulScalar
{
    private readonly double scalar;
    private readonly bool relu;

    /// <param name="scalar">Real.</param>
    /// <param name="relu">Clamp at the result's zero point.</param>
    /// <exception cref="QuantException">InvalidArgument: the number is not finite.</exception>
    public QuantizedMulScalar(double scalar, bool relu = false)
    {
        if (!double.IsFinite(scalar))
            throw new QuantException(ErrorIds.InvalidArgument, $"A quantized tensor cannot be multiplied by {scalar}: the number has to be finite.", scalar);
        this.scalar = scalar;
        this.relu = relu;
    }

    /// <summary>Parameters of the result for an input.</summary>
    /// <exception cref="QuantException">InvalidScale: the scale leaves float32's range.</exception>
    public QParams OutputQParams(QParams input)
    {
        (int low, int high) = input.DType.Range();
        return scalar switch
        {
            0 => new QParams(1f, 0, input.DType),
            > 0 => new QParams((float)(scalar * input.Scales[0]), input.ZeroPoints[0], input.DType),
            _ => new QParams((float)(-scalar * input.Scales[0]), high - (input.ZeroPoints[0] - low), input.DType),
        };
    }

    /// <exception cref="QuantException">UnsupportedDType, InvalidScale.</exception>
    public QuantizedTensor Run(QuantizedTensor x)
    {
        OperatorChecks.EightBit(x.QParams, "The input");
        QParams output = OutputQParams(x.QParams);
        QuantizedTensor y = OperatorChecks.NewTensor(x.Shape, output, x);
        (int low, int high) = x.DType.Range();
        byte[] table = ElementwiseTables.Direct(x.QParams, output, q =>
        {
            int v = scalar == 0 ? 0 : scalar > 0 ? q : high + low - q;
            return relu && scalar != 0 ? Math.Max(v, output.ZeroPoints[0]) : v;
        }).Vector;
        TableKernel.Run(x.Memory, y.Memory, table);
        return y;
    }
}
