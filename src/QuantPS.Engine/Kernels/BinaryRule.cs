using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Kernels;

/// <summary>What is done with two real values.</summary>
public enum BinaryOperation
{
    Add,
    Multiply,
}

/// <summary>A sum or product of 8-bit tensors in float32: both operands' real values, what becomes of them, ReLU, quantized. Or ONNX Runtime's own sum.</summary>
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

    /// <summary>ONNX Runtime's sum of 8-bit tensors of one dtype, QLinearAdd, which it also makes of an Add between DequantizeLinear and QuantizeLinear.</summary>
    /// <remarks>
    /// Source: MLAS, intrinsics/avx2/qladd_avx2.cpp. With r_x = f32(s_x / s_z), r_y = f32(s_y / s_z) and c = z_z - fma(r_x, z_x, f32(r_y z_y)):
    /// rne(fma(x, r_x, fma(y, r_y, c))), saturated; as the compiler of the released x64 libraries contracts it. Where a single x stands for many (its last
    /// dimension is 1 and y's is not) x and y change places in all of that. NaN and beyond int32: the minimum.
    /// </remarks>
    /// <param name="x">Per-tensor parameters of the first operand, 8 bits.</param>
    /// <param name="y">Of the second, of the same dtype.</param>
    /// <param name="output">Of the sum, of the same dtype.</param>
    /// <param name="firstIsInner">The first operand's product is the inner one.</param>
    public static BinaryRule ByRatios(QParams x, QParams y, QParams output, bool firstIsInner = false)
    {
        if (firstIsInner)
            return ByRatios(y, x, output).Swapped();
        QuantizeRule rounding = new(output.Scales[0], output.ZeroPoints[0], output.DType, divides: true);
        float ratioX = x.Scales[0] / output.Scales[0], ratioY = y.Scales[0] / output.Scales[0];
        return new BinaryRule(x, y, rounding, fused: false, relu: false)
        {
            IsByRatios = true,
            ScaleX = ratioX,
            ScaleY = ratioY,
            Constant = rounding.ZeroPoint - MathF.FusedMultiplyAdd(ratioX, x.ZeroPoints[0], ratioY * y.ZeroPoints[0]),
        };
    }

    /// <summary>The same results for the operands in the other order.</summary>
    public BinaryRule Swapped() => this with
    {
        ScaleX = ScaleY,
        ZeroX = ZeroY,
        SignedX = SignedY,
        ScaleY = ScaleX,
        ZeroY = ZeroX,
        SignedY = SignedX,
        FirstIsInner = !FirstIsInner,
    };

    /// <summary>Real value of a step; of a sum by ratios in steps of the result.</summary>
    public float ScaleX { get; private init; }

    public int ZeroX { get; private init; }

    public bool SignedX { get; private init; }

    /// <inheritdoc cref="ScaleX"/>
    public float ScaleY { get; private init; }

    public int ZeroY { get; private init; }

    public bool SignedY { get; private init; }

    public QuantizeRule Output { get; }

    public bool Fused { get; }

    public bool Relu { get; }

    public BinaryOperation Operation { get; }

    /// <summary>A sum in steps of the result, see <see cref="ByRatios"/>.</summary>
    public bool IsByRatios { get; private init; }

    /// <summary>What a sum by ratios starts from, in steps: both zero points and the result's.</summary>
    public float Constant { get; private init; }

    /// <summary>Which product a sum by ratios adds first.</summary>
    public bool FirstIsInner { get; private init; }

    /// <summary>One result: what every kernel has to give.</summary>
    public byte Apply(byte x, byte y)
    {
        if (IsByRatios)
            return unchecked((byte)Math.Clamp(Rounding.ConvertToInt32(Steps(SignedX ? (sbyte)x : x, SignedY ? (sbyte)y : y)), Output.Min, Output.Max));
        float a = Real(x, ScaleX, ZeroX, SignedX), b = Real(y, ScaleY, ZeroY, SignedY), v = Operation == BinaryOperation.Add ? a + b : a * b;
        return unchecked((byte)Output.Apply(Relu ? MathF.Max(v, 0f) : v));
    }

    private float Steps(int x, int y) => FirstIsInner ? MathF.FusedMultiplyAdd(y, ScaleY, MathF.FusedMultiplyAdd(x, ScaleX, Constant))
        : MathF.FusedMultiplyAdd(x, ScaleX, MathF.FusedMultiplyAdd(y, ScaleY, Constant));

    private float Real(byte b, float scale, int zeroPoint, bool signed)
    {
        int q = signed ? (sbyte)b : b;
        return Fused ? MathF.FusedMultiplyAdd(scale, q, scale * -zeroPoint) : Quantizer.Dequantize(q, scale, zeroPoint);
    }
}
