using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Kernels;

/// <summary>A multiplication of two tensors of one 8-bit dtype: (x - z_x)(y - z_y) in int32, times a float32 multiplier, rounded, plus the zero point, ReLU.</summary>
/// <param name="ZeroX">Zero point of the first operand.</param>
/// <param name="ZeroY">Of the second.</param>
/// <param name="Multiplier">Product of the operands' scales over the output's.</param>
/// <param name="ZeroPoint">Of the product.</param>
/// <param name="Signed">qint8.</param>
/// <param name="Relu">Nothing below the zero point.</param>
/// <param name="Indefinite">Compat: what is beyond int32 becomes INT32_MIN before the zero point is added (RequantizeAvx2); else it saturates.</param>
public readonly record struct MulRule(int ZeroX, int ZeroY, float Multiplier, int ZeroPoint, bool Signed, bool Relu, bool Indefinite)
{
    /// <summary>Smallest integer of the product.</summary>
    public int Low => Relu ? ZeroPoint : Signed ? sbyte.MinValue : byte.MinValue;

    /// <summary>One product: what every kernel has to give.</summary>
    public byte Apply(byte x, byte y)
    {
        int c = Signed ? ((sbyte)x - ZeroX) * ((sbyte)y - ZeroY) : (x - ZeroX) * (y - ZeroY);
        int low = Signed ? sbyte.MinValue : byte.MinValue, high = Signed ? sbyte.MaxValue : byte.MaxValue;
        float v = c * Multiplier;
        int q = Indefinite ? Math.Clamp(unchecked(Rounding.ConvertToInt32(v) + ZeroPoint), low, high) : Quantizer.QuantizeTorch(v, 1f, ZeroPoint, low, high);
        return unchecked((byte)Math.Max(q, Low));
    }
}
