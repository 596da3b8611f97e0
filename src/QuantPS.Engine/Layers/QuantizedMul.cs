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
/// onnxruntime: QuantizeLinear(DequantizeLinear(a) * DequantizeLinear(b)), each of its own dtype; MLAS's QLinearMul computes the same.
/// </remarks>
public sealed class QuantizedMul
{
    private readonly EngineKind engine;
    private readonly LayerOptions options;

    /// <param name="output">8-bit parameters of the product.</param>
    /// <param name="engine">All of PyTorch's engines agree; onnxruntime differs.</param>
    /// <param name="options">ReLU, compat.</param>
    /// <exception cref="QuantException">UnsupportedDType.</exception>
    public QuantizedMul(QParams output, EngineKind engine = EngineKind.X86, LayerOptions? options = null)
    {
        OperatorChecks.EightBit(output, "The product");
        OutputQParams = output;
        this.engine = engine;
        this.options = options ?? new LayerOptions();
    }

    public QParams OutputQParams { get; }

    /// <param name="x">One operand.</param>
    /// <param name="y">The other.</param>
    /// <param name="spent">Operands whose memory may be written over.</param>
    /// <exception cref="QuantException">ShapeMismatch, UnsupportedDType.</exception>
    public QuantizedTensor Run(QuantizedTensor x, QuantizedTensor y, SpentOperand spent = SpentOperand.None)
    {
        OperatorChecks.EightBit(x.QParams, "The first operand");
        OperatorChecks.EightBit(y.QParams, "The second operand");
        if (engine != EngineKind.OnnxRuntime)
        {
            OperatorChecks.SameDType(x.QParams, y.QParams, "Multiplying");
            OperatorChecks.SameDType(x.QParams, OutputQParams, "Multiplying");
        }
        BinaryOperands operands = new(x, y, OutputQParams, anyLayout: !options.Compat, spent);
        if (engine == EngineKind.OnnxRuntime)
            RunOnnx(operands, x.QParams, y.QParams);
        else
            RunTorch(operands, x.QParams, y.QParams);
        return operands.Result;
    }

    private void RunOnnx(in BinaryOperands operands, QParams x, QParams y)
    {
        QuantizeRule output = new(OutputQParams.Scales[0], OutputQParams.ZeroPoints[0], OutputQParams.DType, divides: true);
        BinaryRule rule = new(x, y, output, fused: false, options.Relu, BinaryOperation.Multiply);
        if (operands.Broadcast.IsPlain)
        {
            BinaryKernel.Run(operands.X, operands.Y, operands.Z, rule);
            return;
        }
        bool vectors = KernelSelector.UsesVectors;
        BinaryRuns.Run(operands, operands.Broadcast.Length, (a, b, products) => BinaryKernel.Run(a, b, products, rule, vectors));
    }

    private void RunTorch(in BinaryOperands operands, QParams x, QParams y)
    {
        bool signed = x.DType == QDType.QInt8;
        int zeroX = x.ZeroPoints[0], zeroY = y.ZeroPoints[0], zeroZ = OutputQParams.ZeroPoints[0], length = operands.Broadcast.Length;
        bool xnnpack = signed && zeroZ < sbyte.MaxValue;
        float product = x.Scales[0] * y.Scales[0], outputScale = OutputQParams.Scales[0];
        float multiplier = xnnpack ? product / outputScale : product * (1f / outputScale);
        MulRule tail = new(zeroX, zeroY, multiplier, zeroZ, signed, options.Relu, Indefinite: false), rule = tail with { Indefinite = options.Compat };
        int vector = xnnpack ? 0 : AtenQuantizer.VectorLength(length, options);
        if (operands.Broadcast.IsPlain)
        {
            MulKernel.Run(operands.X[..vector], operands.Y[..vector], operands.Z[..vector], rule);
            MulKernel.Run(operands.X[vector..], operands.Y[vector..], operands.Z[vector..], tail);
            return;
        }
        bool vectors = KernelSelector.UsesVectors;
        BinaryRuns.Run(operands, vector, (a, b, products) => MulKernel.Run(a, b, products, rule, vectors), (a, b, products) => MulKernel.Run(a, b, products, tail, vectors));
    }
}
