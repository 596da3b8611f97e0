using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>Adds two quantized tensors of the same shape: dequantize both, add in float32, quantize; optionally ReLU in between.</summary>
/// <remarks>Source: PyTorch quantized::add, aten/native/quantized/cpu/kernels/QuantizedOpKernels.cpp qadd_kernel.</remarks>
public sealed class QuantizedAdd(QParams a, QParams b, QParams output, bool relu = false, bool onnxRule = false)
{
    // 8-bit operands take 256 values each: dequantizing is a table look-up.
    private readonly float[] tableA = DequantizeTable(a), tableB = DequantizeTable(b);

    public QParams OutputQParams => output;

    /// <exception cref="QuantException">ShapeMismatch.</exception>
    public QuantizedTensor Run(QuantizedTensor x, QuantizedTensor y)
    {
        if (!x.Dims.SequenceEqual(y.Dims))
            throw new QuantException(ErrorIds.ShapeMismatch, $"Tensors of shapes [{TensorShape.Format(x.Dims)}] and [{TensorShape.Format(y.Dims)}] cannot be added in int8: the shapes must be equal.", y);
        QuantizedTensor z = new(x.Shape, new AlignedBuffer<byte>(x.Length).Memory, output) { Source = x.Source };
        ReadOnlySpan<byte> p = x.Bytes, q = y.Bytes;
        Span<byte> r = z.Bytes;
        (int low, int high) = output.DType.Range();
        float scale = output.Scales[0], inverse = 1f / scale;
        int zeroPoint = output.ZeroPoints[0];
        for (int i = 0; i < r.Length; i++)
        {
            float v = tableA[p[i]] + tableB[q[i]];
            if (relu)
                v = MathF.Max(v, 0f);
            r[i] = unchecked((byte)(onnxRule ? Quantizer.QuantizeOnnx(v, scale, zeroPoint, low, high) : Quantizer.QuantizeTorch(v, inverse, zeroPoint, low, high)));
        }
        return z;
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
