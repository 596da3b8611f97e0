using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>How <see cref="QuantizedInterpolate"/> fills the points between.</summary>
public enum InterpolationMode
{
    Nearest,
    Bilinear,
}

/// <summary>Resizes images [N, C, H, W], parameters unchanged: PyTorch's interpolate (upsample) on quantized tensors, nearest and bilinear.</summary>
/// <remarks>
/// Source: aten/src/ATen/native/UpSample.h (source positions, in float32), aten/native/quantized/cpu/UpSampleNearest2d.cpp, UpSampleBilinear2d.cpp
/// upsample_bilinear2d_out_frame: rne(h0 (w0 a + w1 b) + h1 (w0 c + w1 d) - z) + z in float32, each operation rounded. The channels-last
/// kernel (kernels/QuantizedOpKernels.cpp qupsample_bilinear2d_nhwc_kernel) is compiled with multiplications and additions fused, here as GCC 12
/// did it for torch 1.13: position = fma(step, i + 0.5, -0.5); fma(w1, b, w0 a), fma(h1, lower, h0 upper). In compat mode the channels behind the last
/// multiple of 8 (16 with AVX-512) are fused the other way round: fma(w0, a, w1 b), fma(h0, upper, h1 lower).
/// </remarks>
public sealed class QuantizedInterpolate
{
    private readonly int[] outputSize;
    private readonly double[]? scaleFactors;
    private readonly InterpolationMode mode;
    private readonly bool alignCorners, channelsLast;
    private readonly LayerOptions options;

    /// <param name="outputSize">[H, W] of the result.</param>
    /// <param name="mode">Nearest or bilinear.</param>
    /// <param name="alignCorners">Bilinear: the corner pixels of input and output coincide.</param>
    /// <param name="scaleFactors">Given when the size came from scale factors: positions are then computed from these.</param>
    /// <param name="channelsLast">The tensor lies in memory as a quantized convolution leaves it; decides near-ties of bilinear.</param>
    /// <param name="options">Compat, PyTorch's version.</param>
    /// <exception cref="QuantException">InvalidArgument.</exception>
    public QuantizedInterpolate(int[] outputSize, InterpolationMode mode = InterpolationMode.Nearest, bool alignCorners = false, double[]? scaleFactors = null, bool channelsLast = true, LayerOptions? options = null)
    {
        if (outputSize.Length != 2 || outputSize.Any(s => s < 1) || scaleFactors is { Length: not 2 })
            throw new QuantException(ErrorIds.InvalidArgument, $"The output size [{TensorShape.Format(outputSize)}] must be two numbers of at least 1, and so must scale factors.");
        this.outputSize = outputSize;
        this.mode = mode;
        this.alignCorners = alignCorners;
        this.scaleFactors = scaleFactors;
        this.channelsLast = channelsLast;
        this.options = options ?? new LayerOptions();
    }

    /// <exception cref="QuantException">ShapeMismatch: not [N, C, H, W]; UnsupportedDType.</exception>
    public QuantizedTensor Run(QuantizedTensor x)
    {
        OperatorChecks.EightBit(x.QParams, "The input");
        if (x.Rank != 4)
            throw new QuantException(ErrorIds.ShapeMismatch, $"Interpolation takes [N, C, H, W], but the input is [{TensorShape.Format(x.Dims)}].", x);
        int inH = x.Dims[2], inW = x.Dims[3], outH = outputSize[0], outW = outputSize[1];
        QuantizedTensor y = OperatorChecks.NewTensor([x.Dims[0], x.Dims[1], outH, outW], x.QParams, x);
        bool fused = channelsLast || x.Dims[1] == 1 || inH * inW == 1;
        // The channels-last bilinear kernel alone goes by the scale factors even where they leave the size as it is.
        if (inH == outH && inW == outW && !(fused && mode == InterpolationMode.Bilinear))
        {
            x.Bytes.CopyTo(y.Bytes);
            return y;
        }
        int lanes = options.TorchVersion == TorchVersion.V1_13 ? 8 : 16;
        int vectorChannels = options.Compat ? x.Dims[1] - x.Dims[1] % lanes : x.Dims[1];
        float stepH = Step(inH, outH, 0), stepW = Step(inW, outW, 1);
        (int low, int high) = x.DType.Range();
        int zeroPoint = x.QParams.ZeroPoints[0];
        bool signed = x.DType == QDType.QInt8;
        int at = 0;
        for (int plane = 0; plane < x.Dims[0] * x.Dims[1]; plane++)
        {
            ReadOnlySpan<byte> from = x.Bytes.Slice(plane * inH * inW, inH * inW);
            bool inVector = plane % x.Dims[1] < vectorChannels;
            for (int h = 0; h < outH; h++)
            {
                for (int w = 0; w < outW; w++, at++)
                {
                    if (mode == InterpolationMode.Nearest)
                    {
                        y.Bytes[at] = from[Math.Min((int)MathF.Floor(h * stepH), inH - 1) * inW + Math.Min((int)MathF.Floor(w * stepW), inW - 1)];
                        continue;
                    }
                    (int h1, int h1p, float hWeight) = Source(stepH, h, inH, fused);
                    (int w1, int w1p, float wWeight) = Source(stepW, w, inW, fused);
                    float a = Value(from[h1 * inW + w1]), b = Value(from[h1 * inW + w1 + w1p]);
                    float c = Value(from[(h1 + h1p) * inW + w1]), d = Value(from[(h1 + h1p) * inW + w1 + w1p]);
                    float w0 = 1f - wWeight, h0 = 1f - hWeight;
                    float v = Mix(Mix(a, b, w0, wWeight, inVector), Mix(c, d, w0, wWeight, inVector), h0, hWeight, inVector) - zeroPoint;
                    y.Bytes[at] = unchecked((byte)Quantizer.QuantizeTorch(v, 1f, zeroPoint, low, high));
                }
            }
        }
        return y;

        float Value(byte q) => signed ? (sbyte)q : q;

        float Mix(float p, float q, float weightP, float weightQ, bool vector) => !fused ? weightP * p + weightQ * q
            : vector ? MathF.FusedMultiplyAdd(weightQ, q, weightP * p) : MathF.FusedMultiplyAdd(weightP, p, weightQ * q);
    }

    /// <summary>Input pixels per output pixel.</summary>
    private float Step(int input, int output, int dim)
    {
        if (mode == InterpolationMode.Bilinear && alignCorners)
            return output > 1 ? (float)(input - 1) / (output - 1) : 0f;
        return scaleFactors is { } s && s[dim] > 0 ? (float)(1.0 / s[dim]) : (float)input / output;
    }

    private (int First, int Next, float Weight) Source(float step, int index, int size, bool fused)
    {
        float position = alignCorners ? step * index : MathF.Max(fused ? MathF.FusedMultiplyAdd(step, index + 0.5f, -0.5f) : step * (index + 0.5f) - 0.5f, 0f);
        int first = (int)position;
        return (first, first < size - 1 ? 1 : 0, position - first);
    }
}
