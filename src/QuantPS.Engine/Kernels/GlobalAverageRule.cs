using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Kernels;

/// <summary>The mean of a whole plane: the exact int32 sum of (x - z), in float32 times a scale and divided, quantized.</summary>
/// <param name="Scale">Of the input, or what makes steps of the result of a sum at once.</param>
/// <param name="Divisor">The area, or 1 where the scale has it.</param>
/// <param name="ZeroPoint">Of the input.</param>
/// <param name="Signed">The input is qint8.</param>
/// <param name="Area">Pixels of a plane.</param>
/// <param name="Output">How the mean is quantized, 8 bits.</param>
public readonly record struct GlobalAverageRule(float Scale, float Divisor, int ZeroPoint, bool Signed, int Area, QuantizeRule Output)
{
    /// <summary>One mean: what every kernel has to give.</summary>
    public byte Apply(int sum) => unchecked((byte)Output.Apply(sum * Scale / Divisor));
}
