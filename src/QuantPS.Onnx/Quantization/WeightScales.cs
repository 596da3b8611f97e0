using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Onnx.Quantization;

/// <summary>Scales per channel that lose least of a weight. Of a depthwise convolution's few weights a channel, a slightly smaller scale often has nearly
/// all on its steps.</summary>
/// <remarks>A search over a grid, as for weights in Nagel et al. 2021, "A White Paper on Neural Network Quantization", 3.1 (MSE range setting).</remarks>
public static class WeightScales
{
    private const int Steps = 40;

    private const double Smallest = 0.8, Largest = 2;

    /// <summary>For each channel, of 40 scales from 0.8 to 1 times the given one and that itself, the one with the smallest sum of squared errors; the given
    /// one on a tie. Where pairs are limited and the given scale has too large ones, also of 40 up to twice the scale, with which all pairs fit.</summary>
    /// <param name="weight">float32, any layout.</param>
    /// <param name="parameters">Per channel, from the extremes; zero points stay.</param>
    /// <param name="range">The integers to use; null for all of the type.</param>
    /// <param name="limitPairs">Keeps pairs within <see cref="WeightPairs"/>.</param>
    public static QParams Fit(Tensor weight, QParams parameters, QuantRange? range, bool limitPairs = false)
    {
        (int min, int max) = range is QuantRange r ? (r.Min, r.Max) : parameters.DType.Range();
        ChannelWeights layout = new(weight.Dims, parameters.Axis);
        float[] scales = parameters.Scales.ToArray();
        Parallel.For(0, layout.Channels, k =>
        {
            float[] values = new float[layout.Size];
            layout.Gather(weight.Span, k, values.AsSpan());
            float given = scales[k];
            int zeroPoint = parameters.ZeroPoints[k];
            int[]? integers = limitPairs ? new int[layout.Size] : null;
            double least = Error(given);
            bool exceeds = integers is not null && WeightPairs.Limit(Rounded(given));
            for (int step = 0; step < Steps; step++)
                Try(Smallest + (1 - Smallest) * step / Steps);
            for (int step = 1; exceeds && step <= Steps; step++)
                Try(1 + (Largest - 1) * step / Steps);

            void Try(double factor)
            {
                float scale = (float)(given * factor);
                double error = Error(scale);
                if (error < least)
                    (least, scales[k]) = (error, scale);
            }

            double Error(float scale)
            {
                double sum = 0, inverse = 1.0 / scale;
                if (integers is not null)
                {
                    WeightPairs.Limit(Rounded(scale));
                    for (int i = 0; i < values.Length; i++)
                    {
                        double d = (integers[i] - zeroPoint) * (double)scale - values[i];
                        sum += d * d;
                    }
                    return sum;
                }
                foreach (float v in values)
                {
                    double d = (Math.Clamp(Math.Round(v * inverse) + zeroPoint, min, max) - zeroPoint) * scale - v;
                    sum += d * d;
                }
                return sum;
            }

            Span<int> Rounded(float scale)
            {
                double inverse = 1.0 / scale;
                for (int i = 0; i < values.Length; i++)
                    integers![i] = (int)Math.Clamp(Math.Round(values[i] * inverse) + zeroPoint, min, max);
                return integers;
            }
        });
        return new QParams(scales, parameters.ZeroPoints.ToArray(), parameters.DType, parameters.Scheme, parameters.Axis);
    }
}
