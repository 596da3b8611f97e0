using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Onnx.Quantization;

/// <summary>Scales per channel that lose least of a weight. Of a depthwise convolution's few weights a channel, a slightly smaller scale often has nearly
/// all on its steps.</summary>
/// <remarks>A search over a grid, as for weights in Nagel et al. 2021, "A White Paper on Neural Network Quantization", 3.1 (MSE range setting).</remarks>
public static class WeightScales
{
    private const int Steps = 40;

    private const double Smallest = 0.8;

    /// <summary>For each channel, of 40 scales from 0.8 to 1 times the given one and that itself, the one with the smallest sum of squared errors; the given
    /// one on a tie.</summary>
    /// <param name="weight">float32, any layout.</param>
    /// <param name="parameters">Per channel, from the extremes; zero points stay.</param>
    /// <param name="range">The integers to use; null for all of the type.</param>
    public static QParams Fit(Tensor weight, QParams parameters, QuantRange? range)
    {
        (int min, int max) = range is QuantRange r ? (r.Min, r.Max) : parameters.DType.Range();
        (int outer, int channels, int inner) = TensorShape.Split(weight.Dims, parameters.Axis);
        float[] scales = parameters.Scales.ToArray(), values = new float[outer * inner];
        for (int k = 0; k < channels; k++)
        {
            for (int o = 0; o < outer; o++)
                weight.Span.Slice((o * channels + k) * inner, inner).CopyTo(values.AsSpan(o * inner));
            float given = scales[k];
            double least = Error(given, parameters.ZeroPoints[k]);
            for (int step = 0; step < Steps; step++)
            {
                float scale = (float)(given * (Smallest + (1 - Smallest) * step / Steps));
                double error = Error(scale, parameters.ZeroPoints[k]);
                if (error < least)
                    (least, scales[k]) = (error, scale);
            }
        }
        return new QParams(scales, parameters.ZeroPoints.ToArray(), parameters.DType, parameters.Scheme, parameters.Axis);

        double Error(float scale, int zeroPoint)
        {
            double sum = 0, inverse = 1.0 / scale;
            foreach (float v in values)
            {
                double d = (Math.Clamp(Math.Round(v * inverse) + zeroPoint, min, max) - zeroPoint) * scale - v;
                sum += d * d;
            }
            return sum;
        }
    }
}
