using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
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
            float[] gathered = new float[layout.Size];
            layout.Gather(weight.Span, k, gathered.AsSpan());
            // Whole vectors: a zero more has no error, and is no pair that is too large.
            double[] values = new double[(layout.Size + Vector256<double>.Count - 1) / Vector256<double>.Count * Vector256<double>.Count];
            for (int i = 0; i < gathered.Length; i++)
                values[i] = gathered[i];
            float given = scales[k];
            int zeroPoint = parameters.ZeroPoints[k];
            double least = Error(values, given, zeroPoint, min, max, limitPairs, out bool exceeds);
            for (int step = 0; step < Steps; step++)
                Try(Smallest + (1 - Smallest) * step / Steps);
            for (int step = 1; exceeds && step <= Steps; step++)
                Try(1 + (Largest - 1) * step / Steps);

            void Try(double factor)
            {
                float scale = (float)(given * factor);
                double error = Error(values, scale, zeroPoint, min, max, limitPairs, out _);
                if (error < least)
                    (least, scales[k]) = (error, scale);
            }
        });
        return new QParams(scales, parameters.ZeroPoints.ToArray(), parameters.DType, parameters.Scheme, parameters.Axis);
    }
    /// <summary>The sum of squared errors of an output's weights with a scale, as 40 and more scales of every output want it: four weights a vector, in double precision, on any
    /// processor the same. Scalar: clamp(round(v / scale) + z, min, max) less z, times scale, less v, squared.</summary>
    /// <param name="values">The weights in the kernels' order, whole vectors.</param>
    /// <param name="scale">The scale.</param>
    /// <param name="zeroPoint">z.</param>
    /// <param name="min">Smallest integer.</param>
    /// <param name="max">Largest integer.</param>
    /// <param name="limitPairs">Pairs that are too large are made smaller first.</param>
    /// <param name="exceeds">There was one.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static double Error(ReadOnlySpan<double> values, float scale, int zeroPoint, int min, int max, bool limitPairs, out bool exceeds)
    {
        exceeds = false;
        Vector256<double> sums = Vector256<double>.Zero, inverse = Vector256.Create(1.0 / scale), size = Vector256.Create((double)scale), zero = Vector256.Create((double)zeroPoint);
        Vector256<double> low = Vector256.Create((double)min), high = Vector256.Create((double)max), most = Vector256.Create((double)WeightPairs.Most);
        foreach (ref readonly Vector256<double> v in MemoryMarshal.Cast<double, Vector256<double>>(values))
        {
            Vector256<double> q = Vector256.Min(Vector256.Max(Vector256.Round(v * inverse) + zero, low), high);
            if (limitPairs)
            {
                // Each lane and its neighbor, which sums of two pairs are.
                Vector256<double> pairs = Vector256.Abs(q + Vector256.Shuffle(q, Vector256.Create(1L, 0, 3, 2)));
                if (Vector256.GreaterThanAny(pairs, most))
                {
                    exceeds = true;
                    Span<int> four = [(int)q[0], (int)q[1], (int)q[2], (int)q[3]];
                    WeightPairs.Limit(four);
                    q = Vector256.Create((double)four[0], four[1], four[2], four[3]);
                }
            }
            Vector256<double> d = (q - zero) * size - v;
            sums += d * d;
        }
        return Vector256.Sum(sums);
    }
}
