using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Onnx.Quantization;

/// <summary>Rounds weights up or down so that the errors of an output cancel where its inputs are alike. Nearest rounding leaves every output an error
/// that goes with the sum of its weights' errors: on a blank background all of it adds up, at every pixel alike, to what looks like another picture.</summary>
/// <remarks>The errors e of an output's weights are to have the smallest e'Re, the mean square of what they add to the output for inputs of equal power
/// with the correlations R. Without data: neighbors in a channel are nearly alike, channels are to some degree. After Guo et al. 2022, "SQuant: On-the-Fly
/// Data-Free Quantization via Diagonal Hessian Approximation", which has the same three terms (element, kernel, output channel) and flips roundings too;
/// here the flips are by coordinate descent.</remarks>
public static class WeightRounding
{
    /// <summary>Of two inputs of one channel within a kernel.</summary>
    private const double WithinKernel = 0.9;

    /// <summary>Of the inputs of different channels.</summary>
    private const double BetweenChannels = 0.5;

    /// <summary>Passes over an output's kernels; hardly anything changes after the second.</summary>
    private const int Sweeps = 4;

    /// <summary>The integers of a weight per channel.</summary>
    /// <param name="weight">float32, any layout.</param>
    /// <param name="parameters">Per channel.</param>
    /// <param name="range">The integers to use; null for all of the type.</param>
    /// <param name="limitPairs">Keeps pairs within <see cref="WeightPairs"/>.</param>
    public static QuantizedTensor Quantize(Tensor weight, QParams parameters, QuantRange? range, bool limitPairs)
    {
        (int min, int max) = range is QuantRange r ? (r.Min, r.Max) : parameters.DType.Range();
        ChannelWeights layout = new(weight.Dims, parameters.Axis);
        var integers = new int[weight.Length];
        Parallel.For(0, layout.Channels, k =>
        {
            float[] values = new float[layout.Size];
            layout.Gather(weight.Span, k, values.AsSpan());
            layout.Scatter<int>(Round(values, layout.Inputs, parameters.Scales[k], parameters.ZeroPoints[k], min, max, limitPairs), k, integers);
        });
        return QuantizedTensor.FromIntegers(integers, [.. weight.Dims], parameters);
    }

    private static int[] Round(float[] values, int inputs, double scale, int zeroPoint, int min, int max, bool limitPairs)
    {
        int[] q = [.. values.Select(v => (int)Math.Clamp(Math.Round(v / scale) + zeroPoint, min, max))];
        if (limitPairs)
            WeightPairs.Limit(q);
        double[] error = [.. q.Select((v, i) => v - zeroPoint - values[i] / scale)];
        var ofKernel = new double[inputs];
        for (int i = 0; i < q.Length; i++)
            ofKernel[i % inputs] += error[i];
        double all = ofKernel.Sum();
        for (int sweep = 0, changes = 1; sweep < Sweeps && changes > 0; sweep++)
        {
            changes = 0;
            for (int c = 0; c < inputs; c++)
            {
                double common = BetweenChannels * all + (WithinKernel - BetweenChannels) * ofKernel[c], best = -1e-9;
                (int at, int by) = (-1, 0);
                for (int i = c; i < q.Length; i += inputs)
                {
                    // Only the two integers around the value: further off, a weight would no longer be what the float model has.
                    int d = error[i] > 0 ? -1 : 1;
                    double gain = 2 * d * (common + (1 - WithinKernel) * error[i]) + 1;
                    if (gain < best && q[i] + d >= min && q[i] + d <= max && (!limitPairs || WeightPairs.Fits(q, i, q[i] + d)))
                        (best, at, by) = (gain, i, d);
                }
                if (at < 0)
                    continue;
                q[at] += by;
                error[at] += by;
                ofKernel[c] += by;
                all += by;
                changes++;
            }
        }
        return q;
    }
}
