using QuantPS.Engine.Errors;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Tests.Layers;

public class QuantizedNormalizedSumTests
{
    private static readonly QParams A = new(0.5f, 10, QDType.QUInt8), B = new(0.25f, -3, QDType.QInt8), Y = new(0.02f, 120, QDType.QUInt8);

    /// <summary>Against the formula in double, for shapes that broadcast in every way that leaves the channels alone.</summary>
    [Theory]
    [InlineData(new[] { 2, 3, 20 }, new[] { 2, 3, 20 })]
    [InlineData(new[] { 2, 3, 20 }, new[] { 1, 3, 20 })]
    [InlineData(new[] { 2, 1, 20 }, new[] { 2, 3, 20 })]
    [InlineData(new[] { 2, 1, 20 }, new[] { 1, 3, 20 })]
    [InlineData(new[] { 20 }, new[] { 2, 3, 20 })]
    [InlineData(new[] { 2, 3, 20 }, new[] { 3, 20 })]
    public void It_is_the_formula(int[] first, int[] second)
    {
        Random random = new(1);
        int channels = first[^1];
        float[] factors = Reals(4), others = Reals(2), gain = Reals(1), bias = Reals(1);
        QuantizedTensor a = Integers(first, A), b = Integers(second, B);
        QuantizedTensor y = new QuantizedNormalizedSum(A, factors, B, others, Y, gain, bias, 1e-3f).Run(a, b);
        int rank = Math.Max(first.Length, second.Length);
        int[] p = [.. Enumerable.Repeat(1, rank - first.Length), .. first], q = [.. Enumerable.Repeat(1, rank - second.Length), .. second], shape = [.. p.Zip(q, Math.Max)];
        Assert.Equal(shape, y.Shape);
        int rows = y.Length / channels, inner = shape[^2];
        for (int row = 0; row < rows; row++)
        {
            double[] sum = [.. Enumerable.Range(0, channels).Select(c => Real(a, p, row, c) * factors[c] + Real(b, q, row, c) * others[c])];
            double mean = sum.Average(), deviation = Math.Sqrt(sum.Average(v => (v - mean) * (v - mean)) + 1e-3f);
            for (int c = 0; c < channels; c++)
            {
                double expected = Math.Clamp(((sum[c] - mean) / deviation * gain[c] + bias[c]) / Y.Scales[0] + 120, 0, 255);
                Assert.InRange(y.GetInteger(row * channels + c), expected - 0.501, expected + 0.501);
            }
        }

        float[] Reals(float most) => [.. Enumerable.Range(0, channels).Select(_ => random.NextSingle() * most)];

        QuantizedTensor Integers(int[] dims, QParams qparams) =>
            QuantizedTensor.FromIntegers([.. Enumerable.Range(0, TensorShape.Count(dims)).Select(_ => random.Next(256) + qparams.DType.Range().Min)], dims, qparams);

        double Real(QuantizedTensor t, int[] dims, int row, int channel)
        {
            int outer = rank > 2 && dims[^3] > 1 ? row / inner : 0, at = dims[^2] > 1 ? row % inner : 0;
            return (t.GetInteger((outer * dims[^2] + at) * channels + channel) - t.QParams.ZeroPoints[0]) * (double)t.QParams.Scales[0];
        }
    }

    [Fact]
    public void Other_channels_are_refused()
    {
        QuantizedNormalizedSum sum = new(A, null, A, null, Y, [1, 1, 1], null);
        QuantizedTensor three = QuantizedTensor.FromIntegers(new int[6], [2, 3], A), two = QuantizedTensor.FromIntegers(new int[4], [2, 2], A), more = QuantizedTensor.FromIntegers(new int[9], [3, 3], A);
        Assert.Equal(ErrorIds.ShapeMismatch, Assert.Throws<QuantException>(() => sum.Run(three, two)).ErrorId);
        Assert.Equal(ErrorIds.ShapeMismatch, Assert.Throws<QuantException>(() => sum.Run(three, more)).ErrorId);
        Assert.Equal(ErrorIds.ShapeMismatch, Assert.Throws<QuantException>(() => new QuantizedNormalizedSum(A, [1f], A, null, Y, [1, 1, 1], null)).ErrorId);
    }
}
