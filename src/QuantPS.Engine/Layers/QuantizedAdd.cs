using QuantPS.Engine.Errors;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>Adds two quantized tensors, with or without ReLU: PyTorch's quantized::add, add_relu and FloatFunctional.add, add_relu. Shapes broadcast.</summary>
/// <remarks>
/// Source: aten/native/quantized/cpu/BinaryOps.cpp (qadd in older versions), kernels/QuantizedOpKernels.cpp qadd_kernel:
/// dequantize both (see <see cref="AtenQuantizer"/>), add in float32, max(., 0) for ReLU, quantize.
/// QNNPACK, quint8 and equal shapes: qnnpack/src/qnnpack/requantization.h pytorch_qnnp_compute_add_quantization_params, q8vadd/sse2.c, in
/// fixed point: m_a = rne(s_a/s_y * 2^n), m_b likewise, n = 21 - exponent of the larger ratio; acc = m_a (a - z_a) + m_b (b - z_b) in int32;
/// shifted right by n, ties away from zero; + z_y; clamped. Engine qnnpack and qint8: XNNPACK qs8-vadd, n = 20 - exponent, ties upwards.
/// onnxruntime: QLinearAdd, see <see cref="BinaryRule.ByRatios"/>, which ONNX Runtime also runs for an Add between DequantizeLinear and QuantizeLinear. Where it
/// has none - dtypes differ, or a ReLU whose zero is not the smallest integer - QuantizeLinear(DequantizeLinear(a) + DequantizeLinear(b)).
/// </remarks>
public sealed class QuantizedAdd
{
    private readonly QParams a, b;
    private readonly EngineKind engine;
    private readonly LayerOptions options;

    /// <summary>PyTorch's generic arithmetic, or ONNX's.</summary>
    public QuantizedAdd(QParams a, QParams b, QParams output, bool relu = false, bool onnxRule = false)
        : this(a, b, output, onnxRule ? EngineKind.OnnxRuntime : EngineKind.X86, new LayerOptions { Relu = relu })
    {
    }

    /// <param name="a">8-bit parameters of the first operand.</param>
    /// <param name="b">8-bit parameters of the second.</param>
    /// <param name="output">8-bit parameters of the sum.</param>
    /// <param name="engine">Whose arithmetic.</param>
    /// <param name="options">ReLU, compat, PyTorch's version.</param>
    /// <exception cref="QuantException">UnsupportedDType; InvalidRequantizationScale: QNNPACK takes ratios of input to output scale from 2^-14 up to 2^8.</exception>
    public QuantizedAdd(QParams a, QParams b, QParams output, EngineKind engine, LayerOptions? options = null)
    {
        OperatorChecks.EightBit(a, "The first operand");
        OperatorChecks.EightBit(b, "The second operand");
        OperatorChecks.EightBit(output, "The sum");
        this.a = a;
        this.b = b;
        OutputQParams = output;
        this.engine = engine;
        this.options = options ?? new LayerOptions();
        if (TakesFixedPoint(a))
            _ = new FixedPointAddRule(a, b, output, this.options.Relu);
    }

    public QParams OutputQParams { get; }

    /// <summary>As in PyTorch the tensors' own scales and zero points count.</summary>
    /// <param name="x">One operand.</param>
    /// <param name="y">The other.</param>
    /// <param name="spent">Operands whose memory may be written over.</param>
    /// <exception cref="QuantException">ShapeMismatch, UnsupportedDType, InvalidRequantizationScale.</exception>
    public QuantizedTensor Run(QuantizedTensor x, QuantizedTensor y, SpentOperand spent = SpentOperand.None)
    {
        OperatorChecks.EightBit(x.QParams, "The first operand");
        OperatorChecks.EightBit(y.QParams, "The second operand");
        if (engine != EngineKind.OnnxRuntime)
            OperatorChecks.SameDType(x.QParams, y.QParams, "Adding");
        BinaryOperands operands = new(x, y, OutputQParams, anyLayout: !options.Compat, spent);
        // QNNPACK itself does not broadcast, XNNPACK does.
        if (TakesFixedPoint(x.QParams) && (x.DType == QDType.QInt8 || x.Dims.SequenceEqual(y.Dims)))
            RunFixedPoint(operands, new FixedPointAddRule(x.QParams, y.QParams, OutputQParams, options.Relu));
        else
            RunFloat(operands, x.QParams, y.QParams, firstIsInner: x.Rank > 0 && x.Dims[^1] == 1 && y.Rank > 0 && y.Dims[^1] != 1);
        return operands.Result;
    }

    /// <summary>The sum of tensors of one shape as a rule for every pair wherever it lies; null where the arithmetic is another.</summary>
    internal BinaryRule? RuleFor(QParams x, QParams y)
    {
        if (options.Compat || TakesFixedPoint(x) || (engine != EngineKind.OnnxRuntime && x.DType != y.DType))
            return null;
        return FloatRule(x, y, new AtenQuantizer(OutputQParams, options), firstIsInner: false);
    }

    /// <summary>The parameters that this was planned for.</summary>
    public (QParams A, QParams B) InputQParams => (a, b);

    private bool TakesFixedPoint(QParams operand) => engine == EngineKind.Qnnpack && operand.DType == OutputQParams.DType;

    private void RunFloat(in BinaryOperands operands, QParams x, QParams y, bool firstIsInner)
    {
        var quantizer = new AtenQuantizer(OutputQParams, options);
        bool onnx = engine == EngineKind.OnnxRuntime;
        BinaryRule rule = FloatRule(x, y, quantizer, firstIsInner), tail = new(x, y, quantizer.ScalarRule, fused: false, options.Relu);
        int length = operands.Broadcast.Length, vector = onnx ? length : quantizer.VectorLength(length);
        if (operands.Broadcast.IsPlain)
        {
            BinaryKernel.Run(operands.X[..vector], operands.Y[..vector], operands.Z[..vector], rule);
            BinaryKernel.Run(operands.X[vector..], operands.Y[vector..], operands.Z[vector..], tail);
            return;
        }
        bool vectors = KernelSelector.UsesVectors;
        BinaryRuns.Run(operands, vector, (a, b, sums) => BinaryKernel.Run(a, b, sums, rule, vectors), (a, b, sums) => BinaryKernel.Run(a, b, sums, tail, vectors));
    }

    private BinaryRule FloatRule(QParams x, QParams y, AtenQuantizer quantizer, bool firstIsInner)
    {
        if (engine != EngineKind.OnnxRuntime)
            return new(x, y, quantizer.VectorRule, fused: true, options.Relu);
        bool nothingToClamp = !options.Relu || OutputQParams.ZeroPoints[0] == OutputQParams.DType.Range().Min;
        return x.DType == y.DType && x.DType == OutputQParams.DType && nothingToClamp
            ? BinaryRule.ByRatios(x, y, OutputQParams, firstIsInner)
            : new(x, y, new QuantizeRule(OutputQParams.Scales[0], OutputQParams.ZeroPoints[0], OutputQParams.DType, divides: true), fused: false, options.Relu);
    }

    private static void RunFixedPoint(in BinaryOperands operands, FixedPointAddRule rule)
    {
        if (operands.Broadcast.IsPlain)
        {
            FixedPointAddKernel.Run(operands.X, operands.Y, operands.Z, rule);
            return;
        }
        bool vectors = KernelSelector.UsesVectors;
        BinaryRuns.Run(operands, operands.Broadcast.Length, (a, b, sums) => FixedPointAddKernel.Run(a, b, sums, rule, vectors));
    }

    /// <summary>The real value of every byte under 8-bit parameters.</summary>
    internal static float[] DequantizeTable(QParams p)
    {
        var table = new float[256];
        for (int i = 0; i < table.Length; i++)
            table[i] = Quantizer.Dequantize(p.DType == QDType.QInt8 ? (sbyte)i : i, p.Scales[0], p.ZeroPoints[0]);
        return table;
    }
}
