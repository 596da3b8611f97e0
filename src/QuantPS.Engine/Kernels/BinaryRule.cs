using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Kernels;

/// <summary>What is done with two real values.</summary>
public enum BinaryOperation
{
    Add,
    Multiply,
}

/// <summary>A sum or product of 8-bit tensors in float32: both operands' real values, what becomes of them, ReLU, quantized.</summary>
public readonly struct BinaryRule
{
    /// <param name="x">Per-tensor parameters of the first operand, 8 bits.</param>
    /// <param name="y">Of the second.</param>
    /// <param name="output">How the result is quantized, 8 bits.</param>
    /// <param name="fused">Real values as fma(scale, q, scale * -zp), ATen's vectorized formula; else scale * (q - zp).</param>
    /// <param name="relu">max(., 0) before quantizing.</param>
    /// <param name="operation">Sum or product.</param>
    public BinaryRule(QParams x, QParams y, in QuantizeRule output, bool fused, bool relu, BinaryOperation operation = BinaryOperation.Add)
    {
        (ScaleX, ZeroX, SignedX) = (x.Scales[0], x.ZeroPoints[0], x.DType == QDType.QInt8);
        (ScaleY, ZeroY, SignedY) = (y.Scales[0], y.ZeroPoints[0], y.DType == QDType.QInt8);
        Output = output;
        Fused = fused;
        Relu = relu;
        Operation = operation;
    }

    public float ScaleX { get; }

    public int ZeroX { get; }

    public bool SignedX { get; }

    public float ScaleY { get; }

    public int ZeroY { get; }

    public bool SignedY { get; }

    public QuantizeRule Output { get; }

    public bool Fused { get; }

    public bool Relu { get; }

    public BinaryOperation Operation { get; }

    /// <summary>One result: what every kernel has to give.</summary>
    public byte Apply(byte x, byte y)
    {
        float a = Real(x, ScaleX, ZeroX, SignedX), b = Real(y, ScaleY, ZeroY, SignedY), v = Operation == BinaryOperation.Add ? a + b : a * b;
        return unchecked((byte)Output.Apply(Relu ? MathF.Max(v, 0f) : v));
    }

    private float Real(byte b, float scale, int zeroPoint, bool signed)
    {
        int q = signed ? (sbyte)b : b;
        return Fused ? MathF.FusedMultiplyAdd(scale, q, scale * -zeroPoint) : Quantizer.Dequantize(q, scale, zeroPoint);
    }
}
