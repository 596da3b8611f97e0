using QuantPS.Engine.Errors;
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
/// onnxruntime: QuantizeLinear(DequantizeLinear(a) + DequantizeLinear(b)).
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
            _ = new FixedPoint(a, b, output, this.options.Relu);
    }

    public QParams OutputQParams { get; }

    /// <summary>As in PyTorch the tensors' own scales and zero points count.</summary>
    /// <exception cref="QuantException">ShapeMismatch, UnsupportedDType, InvalidRequantizationScale.</exception>
    public QuantizedTensor Run(QuantizedTensor x, QuantizedTensor y)
    {
        OperatorChecks.EightBit(x.QParams, "The first operand");
        OperatorChecks.EightBit(y.QParams, "The second operand");
        if (engine != EngineKind.OnnxRuntime)
            OperatorChecks.SameDType(x.QParams, y.QParams, "Adding");
        var broadcast = new Broadcast(x, y);
        QuantizedTensor z = OperatorChecks.NewTensor(broadcast.Shape, OutputQParams, x);
        // QNNPACK itself does not broadcast, XNNPACK does.
        if (TakesFixedPoint(x.QParams) && (x.DType == QDType.QInt8 || x.Dims.SequenceEqual(y.Dims)))
            RunFixedPoint(new FixedPoint(x.QParams, y.QParams, OutputQParams, options.Relu), broadcast, x, y, z);
        else
            RunFloat(broadcast, x, y, z);
        return z;
    }

    /// <summary>The parameters that this was planned for.</summary>
    public (QParams A, QParams B) InputQParams => (a, b);

    private bool TakesFixedPoint(QParams operand) => engine == EngineKind.Qnnpack && operand.DType == OutputQParams.DType;

    private void RunFloat(Broadcast broadcast, QuantizedTensor x, QuantizedTensor y, QuantizedTensor z)
    {
        bool onnx = engine == EngineKind.OnnxRuntime, relu = options.Relu;
        float[] plainX = DequantizeTable(x.QParams), plainY = DequantizeTable(y.QParams);
        float[] vectorX = onnx ? plainX : AtenQuantizer.VectorReals(x.QParams), vectorY = onnx ? plainY : AtenQuantizer.VectorReals(y.QParams);
        var quantizer = new AtenQuantizer(OutputQParams, options);
        (int low, int high) = OutputQParams.DType.Range();
        float scale = OutputQParams.Scales[0];
        int zeroPoint = OutputQParams.ZeroPoints[0];
        broadcast.ForEachRun((to, p, q, length, stepP, stepQ) =>
        {
            ReadOnlySpan<byte> from = x.Bytes, and = y.Bytes;
            Span<byte> r = z.Bytes.Slice(to, length);
            int vector = onnx ? length : quantizer.VectorLength(length);
            for (int i = 0; i < length; i++, p += stepP, q += stepQ)
            {
                float v = i < vector ? vectorX[from[p]] + vectorY[and[q]] : plainX[from[p]] + plainY[and[q]];
                if (relu)
                    v = MathF.Max(v, 0f);
                r[i] = onnx ? unchecked((byte)Quantizer.QuantizeOnnx(v, scale, zeroPoint, low, high)) : i < vector ? quantizer.Vector(v) : quantizer.Scalar(v);
            }
        });
    }

    private static void RunFixedPoint(FixedPoint rule, Broadcast broadcast, QuantizedTensor x, QuantizedTensor y, QuantizedTensor z)
    {
        bool signed = x.DType == QDType.QInt8;
        broadcast.ForEachRun((to, p, q, length, stepP, stepQ) =>
        {
            ReadOnlySpan<byte> from = x.Bytes, and = y.Bytes;
            Span<byte> r = z.Bytes.Slice(to, length);
            for (int i = 0; i < length; i++, p += stepP, q += stepQ)
                r[i] = unchecked((byte)(signed ? rule.Apply((sbyte)from[p], (sbyte)and[q]) : rule.Apply(from[p], and[q])));
        });
    }

    /// <summary>The real value of every byte under 8-bit parameters.</summary>
    internal static float[] DequantizeTable(QParams p)
    {
        var table = new float[256];
        for (int i = 0; i < table.Length; i++)
            table[i] = Quantizer.Dequantize(p.DType == QDType.QInt8 ? (sbyte)i : i, p.Scales[0], p.ZeroPoints[0]);
        return table;
    }

    /// <summary>QNNPACK's and XNNPACK's integers-only addition.</summary>
    private readonly struct FixedPoint
    {
        private const float LeastRatio = 1f / (1 << 14), RatioLimit = 256f;
        private readonly int multiplierA, multiplierB, bias, shift, zeroPoint, low, high;
        private readonly bool tiesUp;

        public FixedPoint(QParams a, QParams b, QParams output, bool relu)
        {
            float ratioA = a.Scales[0] / output.Scales[0], ratioB = b.Scales[0] / output.Scales[0];
            foreach (float ratio in (ReadOnlySpan<float>)[ratioA, ratioB])
            {
                if (!(ratio >= LeastRatio && ratio < RatioLimit))
                    throw new QuantException(ErrorIds.InvalidRequantizationScale, $"QNNPACK adds with ratios of input scale to output scale from 2^-14 up to 2^8; one here is {ratio:G9}. Observe a wider range, or use another engine.");
            }
            tiesUp = a.DType == QDType.QInt8;
            int exponent = (BitConverter.SingleToInt32Bits(MathF.Max(ratioA, ratioB)) >> 23) - 127;
            shift = (tiesUp ? 20 : 21) - exponent;
            float toInteger = BitConverter.Int32BitsToSingle((shift + 127) << 23);
            multiplierA = (int)Rounding.HalfToEven(ratioA * toInteger);
            multiplierB = (int)Rounding.HalfToEven(ratioB * toInteger);
            bias = unchecked(-(multiplierA * a.ZeroPoints[0] + multiplierB * b.ZeroPoints[0]));
            zeroPoint = output.ZeroPoints[0];
            (low, high) = output.DType.Range();
            if (relu)
                low = Math.Max(low, zeroPoint);
        }

        public int Apply(int x, int y)
        {
            int sum = unchecked(bias + x * multiplierA + y * multiplierB);
            int half = 1 << (shift - 1);
            int quotient;
            if (tiesUp)
            {
                quotient = unchecked(sum + half) >> shift;
            }
            else
            {
                int mask = (int)((1u << shift) - 1);
                int remainder = (sum & mask) - (sum < 0 ? 1 : 0);
                quotient = (sum >> shift) + (remainder > mask >> 1 ? 1 : 0);
            }
            return Math.Clamp(quotient + zeroPoint, low, high);
        }
    }
}
