using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Kernels.Reference;

/// <summary>The oracle for dequantizing: integer by integer.</summary>
public static class ReferenceDequantize
{
    /// <summary>8 bits.</summary>
    public static void Run(ReadOnlySpan<byte> q, bool signed, Span<float> y, float scale, int zeroPoint)
    {
        for (int i = 0; i < q.Length; i++)
            y[i] = Quantizer.Dequantize(signed ? (sbyte)q[i] : q[i], scale, zeroPoint);
    }

    /// <summary>32 bits.</summary>
    public static void Run(ReadOnlySpan<int> q, Span<float> y, float scale, int zeroPoint)
    {
        for (int i = 0; i < q.Length; i++)
            y[i] = Quantizer.Dequantize(q[i], scale, zeroPoint);
    }
}
