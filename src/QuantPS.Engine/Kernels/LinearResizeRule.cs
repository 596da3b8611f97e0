namespace QuantPS.Engine.Kernels;

/// <summary>The arithmetic of linear interpolation on 8-bit integers: real values of four neighbours, their weighted sum, quantized.</summary>
/// <remarks>
/// Source: onnxruntime core/providers/cpu/tensor/upsample.h, UpsampleBilinear of float32, between DequantizeLinear and QuantizeLinear: with v = scale * (q - z) the sum is
/// ((x0 y0) v00 + (x1 y0) v01) + (x0 y1) v10 + (x1 y1) v11 from left to right, every operation rounded. ONNX Runtime 1.31 leaves the three nodes as they are, with and without its
/// optimizations. The scale cannot be left out: a sum that is a tie as integers need not be one of rounded multiples of the scale.
/// </remarks>
/// <param name="scale">Of the input.</param>
/// <param name="zeroPoint">Of the input.</param>
/// <param name="signed">The input is qint8, not quint8.</param>
/// <param name="output">To the result's 8 bits.</param>
internal readonly struct LinearResizeRule(float scale, int zeroPoint, bool signed, QuantizeRule output)
{
    public float Scale => scale;

    public int ZeroPoint => zeroPoint;

    public bool Signed => signed;

    public QuantizeRule Output => output;

    /// <summary>The real value of a byte.</summary>
    public float Real(byte b) => scale * ((signed ? (sbyte)b : b) - zeroPoint);
}
