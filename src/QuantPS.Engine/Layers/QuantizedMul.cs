using QuantPS.Engine.Errors;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>Multiplies two quantized tensors, with or without ReLU: PyTorch's quantized::mul, mul_relu and FloatFunctional.mul. Shapes broadcast.</summary>
/// <remarks>
/// Source: aten/native/quantized/cpu/qmul.cpp, kernels/QuantizedOpKernels.cpp qmul_kernel: c = (a - z_a)(b - z_b) in int32,
/// m = (s_a * s_b) * f32(1/s_y), rne(f32(c) * m) + z_y, clamped; the same for every engine.
/// qint8 with z_y below 127 goes to XNNPACK whatever the engine: m = (s_a * s_b) / s_y, f32(c) * m clamped before rounding.
/// </remarks>
public sealed class QuantizedMul
{
    private readonly LayerOptions options;

    /// <param name="output">8-bit parameters of the product.</param>
    /// <param name="engine">All of PyTorch's engines agree.</param>
    /// <param name="options">ReLU, compat.</param>
    /// <exception cref="QuantException">UnsupportedDType, UnsupportedOperator.</exception>
    public QuantizedMul(QParams output, EngineKind engine = EngineKind.X86, LayerOptions? options = null)
    {
        OperatorChecks.EightBit(output, "The product");
        OperatorChecks.TorchOnly(engine, "QuantizedMul");
        OutputQParams = output;
        this.options = options ?? new LayerOptions();
    }

    public QParams OutputQParams { get; }

    /// <exception cref="QuantException">ShapeMismatch, UnsupportedDType.</exception>
    public QuantizedTensor Run(QuantizedTensor x, QuantizedTensor y)
    {
        OperatorChecks.EightBit(x.QParams, "The first operand");
        OperatorChecks.SameDType(x.QParams, y.QParams, "Multiplying");
        OperatorChecks.SameDType(x.QParams, OutputQParams, "Multiplying");
        var broadcast = new Broadcast(x, y);
        QuantizedTensor z = OperatorChecks.NewTensor(broadcast.Shape, OutputQParams, x);
        bool signed = x.DType == QDType.QInt8;
        int zeroX = x.QParams.ZeroPoints[0], zeroY = y.QParams.ZeroPoints[0], zeroZ = OutputQParams.ZeroPoints[0];
        bool xnnpack = signed && zeroZ < sbyte.MaxValue;
        float product = x.QParams.Scales[0] * y.QParams.Scales[0], outputScale = OutputQParams.Scales[0];
        float multiplier = xnnpack ? product / outputScale : product * (1f / outputScale);
        MulRule tail = new(zeroX, zeroY, multiplier, zeroZ, signed, options.Relu, Indefinite: false), rule = tail with { Indefinite = options.Compat };
        int vector = xnnpack ? 0 : AtenQuantizer.VectorLength(broadcast.Length, options);
        if (broadcast.IsPlain)
        {
            MulKernel.Run(x.Memory[..vector], y.Memory[..vector], z.Memory[..vector], rule);
            MulKernel.Run(x.Memory[vector..], y.Memory[vector..], z.Memory[vector..], tail);
            return z;
        }
        bool vectors = KernelSelector.UsesVectors;
        BinaryRuns.Run(broadcast, x, y, z, vector, (a, b, products) => MulKernel.Run(a, b, products, rule, vectors), (a, b, products) => MulKernel.Run(a, b, products, tail, vectors));
        return z;
    }
}
