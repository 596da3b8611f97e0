using QuantPS.Engine.Kernels;
using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Layers;

/// <summary>float32 to 8-bit integers as ATen's element-wise kernels do it, and the shape of their loops.</summary>
/// <remarks>
/// Source: aten/src/ATen/cpu/vec/vec256/vec256_qint.h (dequantize, QuantizeAvx2), ATen/native/cpu/Loops.h vectorized_loop,
/// ATen/native/quantized/AffineQuantizerBase.cpp. A kernel runs in blocks of two vectors (64 integers with AVX2, 128 with AVX-512) and
/// does what is left over, element by element, with another formula: blocks dequantize as fma(scale, q, scale * -zp), left-overs as
/// scale * (q - zp). A result can differ by 1 where it lies next to a tie. Which elements are left over depends on memory layout,
/// instruction set and number of threads, so by default every element follows the vectorized formula; compat mode reproduces the
/// left-overs of a row-major tensor on one thread: the last (n mod 64) of torch 1.13 (AVX2), the last (n mod 128) of torch 2 (AVX-512).
/// </remarks>
internal readonly struct AtenQuantizer
{
    private readonly int zeroPoint, low, high;
    private readonly LayerOptions options;

    public AtenQuantizer(QParams output, LayerOptions options)
    {
        zeroPoint = output.ZeroPoints[0];
        (low, high) = output.DType.Range();
        this.options = options;
        VectorRule = new QuantizeRule(output.Scales[0], zeroPoint, output.DType, compat: options.Compat ? QuantizeCompat.Torch2PerTensor : QuantizeCompat.None);
        ScalarRule = new QuantizeRule(output.Scales[0], zeroPoint, output.DType,
            compat: options.Compat && options.TorchVersion == TorchVersion.V1_13 ? QuantizeCompat.Torch113 : QuantizeCompat.None);
    }

    /// <summary>In a vector block: rne(v * f32(1/scale)) + zp, saturated.</summary>
    public QuantizeRule VectorRule { get; }

    /// <summary>In the left-overs. Differs from <see cref="VectorRule"/> only for NaN and beyond int32.</summary>
    public QuantizeRule ScalarRule { get; }

    public byte Vector(float v) => unchecked((byte)VectorRule.Apply(v));

    public byte Scalar(float v) => unchecked((byte)ScalarRule.Apply(v));

    /// <summary>In a vector block, from an int32 sum: rne(f32(sum) * multiplier) + zp.</summary>
    /// <remarks>Source: RequantizeAvx2. In compat mode a product beyond int32 becomes INT32_MIN first, and so the minimum.</remarks>
    public byte VectorFromInt(int sum, float multiplier)
    {
        float v = sum * multiplier;
        if (!options.Compat)
            return unchecked((byte)Quantizer.QuantizeTorch(v, 1f, zeroPoint, low, high));
        return unchecked((byte)Math.Clamp(unchecked(Rounding.ConvertToInt32(v) + zeroPoint), low, high));
    }

    /// <summary>In the left-overs, from an int32 sum (requantize_from_int): saturates.</summary>
    public byte ScalarFromInt(int sum, float multiplier) => unchecked((byte)Quantizer.QuantizeTorch(sum * multiplier, 1f, zeroPoint, low, high));

    /// <summary>How many of n elements go through vector blocks.</summary>
    public int VectorLength(int n) => VectorLength(n, options);

    public static int VectorLength(int n, LayerOptions options) => options.Compat ? n - n % (options.TorchVersion == TorchVersion.V1_13 ? 64 : 128) : n;

    /// <summary>The real value of every byte in a vector block: fma(scale, q, scale * -zp).</summary>
    public static float[] VectorReals(QParams p)
    {
        float scale = p.Scales[0], premultiplied = scale * -p.ZeroPoints[0];
        var reals = new float[256];
        for (int i = 0; i < reals.Length; i++)
            reals[i] = MathF.FusedMultiplyAdd(scale, p.DType == QDType.QInt8 ? (sbyte)i : i, premultiplied);
        return reals;
    }

    /// <summary>The real value of every byte in the left-overs: scale * (q - zp).</summary>
    public static float[] ScalarReals(QParams p) => QuantizedAdd.DequantizeTable(p);
}
