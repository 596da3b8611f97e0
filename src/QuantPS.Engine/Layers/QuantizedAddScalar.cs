using QuantPS.Engine.Errors;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>Adds a number: PyTorch's quantized::add_scalar, add_scalar_relu and FloatFunctional.add_scalar. The result's parameters follow from the number.</summary>
/// <remarks>
/// Source: aten/native/quantized/cpu/BinaryOps.cpp _add_scalar_out, kernels/QuantizedOpKernels.cpp qadd_scalar_kernel. c_q = rne(c / s) in double, z' = z - c_q.
/// While z' stays in the dtype's range the integers do not change, only the zero point moves. Else z' = q_min or q_max, s' = s * (range that
/// is needed) / (q_max - q_min), and rne(f32(q - z + c_q) * (s * f32(1/s'))) + z', clamped. ReLU: max(., z'). The same for every engine.
/// PyTorch keeps s' in double; here it is rounded to float32, as every kernel that reads it does.
/// </remarks>
public sealed class QuantizedAddScalar
{
    private readonly double scalar;
    private readonly LayerOptions options;

    /// <param name="scalar">Real.</param>
    /// <param name="engine">All of PyTorch's engines agree.</param>
    /// <param name="options">ReLU, compat.</param>
    /// <exception cref="QuantException">UnsupportedOperator; InvalidArgument: the number is not finite.</exception>
    public QuantizedAddScalar(double scalar, EngineKind engine = EngineKind.X86, LayerOptions? options = null)
    {
        OperatorChecks.TorchOnly(engine, "QuantizedAddScalar");
        if (!double.IsFinite(scalar))
            throw new QuantException(ErrorIds.InvalidArgument, $"{scalar} cannot be added to a quantized tensor: the number has to be finite.", scalar);
        this.scalar = scalar;
        this.options = options ?? new LayerOptions();
    }

    /// <summary>Parameters of the result for an input.</summary>
    public QParams OutputQParams(QParams input)
    {
        (int low, int high) = input.DType.Range();
        double scale = input.Scales[0];
        long zeroPoint = input.ZeroPoints[0] - InSteps(input);
        if (low > zeroPoint)
            return new QParams((float)(((double)high - zeroPoint) / ((double)high - low) * scale), low, input.DType);
        if (high < zeroPoint)
            return new QParams((float)(((double)zeroPoint - low) / ((double)high - low) * scale), high, input.DType);
        return new QParams(input.Scales[0], (int)zeroPoint, input.DType);
    }

    /// <exception cref="QuantException">UnsupportedDType.</exception>
    public QuantizedTensor Run(QuantizedTensor x)
    {
        OperatorChecks.EightBit(x.QParams, "The input");
        QParams output = OutputQParams(x.QParams);
        QuantizedTensor y = OperatorChecks.NewTensor(x.Shape, output, x);
        long inSteps = InSteps(x.QParams);
        bool moved = output.ZeroPoints[0] == x.QParams.ZeroPoints[0] - inSteps;
        float multiplier = x.QParams.Scales[0] * (1f / output.Scales[0]);
        int zeroPoint = x.QParams.ZeroPoints[0], outputZero = output.ZeroPoints[0];
        var quantizer = new AtenQuantizer(output, options);
        ElementwiseTables Table(bool vector) => ElementwiseTables.Direct(x.QParams, output, q =>
        {
            int sum = unchecked(q - zeroPoint + (int)inSteps);
            byte v = moved ? unchecked((byte)q) : vector ? quantizer.VectorFromInt(sum, multiplier) : quantizer.ScalarFromInt(sum, multiplier);
            int value = x.DType == QDType.QInt8 ? (sbyte)v : v;
            return options.Relu ? Math.Max(value, outputZero) : value;
        });
        byte[] table = Table(true).Vector, tail = Table(false).Vector;
        int vectorLength = quantizer.VectorLength(x.Length);
        TableKernel.Run(x.Memory[..vectorLength], y.Memory[..vectorLength], table);
        TableKernel.Run(x.Memory[vectorLength..], y.Memory[vectorLength..], tail);
        return y;
    }

    private long InSteps(QParams input) => (long)Math.Clamp(Math.Round(scalar / input.Scales[0], MidpointRounding.ToEven), int.MinValue, int.MaxValue);
}
