using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Kernels;

/// <summary>How a kernel turns float32 into integers: one scale and zero point, whose rule, and its defects if they are asked for.</summary>
public readonly struct QuantizeRule
{
    /// <param name="scale">Real value of a step.</param>
    /// <param name="zeroPoint">Integer of real 0, inside the dtype's range.</param>
    /// <param name="dtype">What the integers are stored as; its range is where they saturate.</param>
    /// <param name="divides">ONNX's rule: x / scale. PyTorch multiplies by f32(1/scale).</param>
    /// <param name="compat">One of PyTorch's own kernels, which differ on NaN and beyond int32; not with ONNX's rule.</param>
    public QuantizeRule(float scale, int zeroPoint, QDType dtype, bool divides = false, QuantizeCompat compat = QuantizeCompat.None)
    {
        Scale = scale;
        Inverse = 1f / scale;
        ZeroPoint = zeroPoint;
        DType = dtype;
        (Min, Max) = dtype.Range();
        Divides = divides;
        Compat = compat;
    }

    public float Scale { get; }

    /// <summary>f32(1/scale).</summary>
    public float Inverse { get; }

    public int ZeroPoint { get; }

    public QDType DType { get; }

    public int Min { get; }

    public int Max { get; }

    public bool Divides { get; }

    public QuantizeCompat Compat { get; }

    /// <summary>One value: what every kernel has to give.</summary>
    public int Apply(float x) => Compat != QuantizeCompat.None ? QuantizeCompatKernels.Quantize(Compat, x, Scale, ZeroPoint, DType)
        : Divides ? Quantizer.QuantizeOnnx(x, Scale, ZeroPoint, Min, Max)
        : Quantizer.QuantizeTorch(x, Inverse, ZeroPoint, Min, Max);
}
