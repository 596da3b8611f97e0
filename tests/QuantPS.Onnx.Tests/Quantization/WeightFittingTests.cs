using QuantPS.Engine.Configuration;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Operators;
using QuantPS.Onnx.Quantization;

namespace QuantPS.Onnx.Tests.Quantization;

/// <summary>Scales and roundings of weights that lose least, and pairs that leave room for 8 bits.</summary>
public class WeightFittingTests
{
    /// <summary>A scale of the grid that has all weights on its steps is found; the given one stays where it has them.</summary>
    [Fact]
    public void AScaleWithAllWeightsOnItsStepsIsFound()
    {
        const float Step = 0.01f;
        Tensor weight = new([2, 1, 3, 3], (float[])[.. new[] { 114, -3, 50, 77, -101, 8, 0, 21, -64, 127, 5, -20, 33, 90, -127, 1, 64, -9 }.Select(i => i * Step)]);
        // 0.9 is one of the factors: 0.8 + 0.2 * 20 / 40.
        QParams fitted = WeightScales.Fit(weight, Symmetric(Step / 0.9f, Step), null);
        Assert.All(fitted.Scales.ToArray(), s => Assert.Equal(Step, s, Step * 1e-6f));
    }

    /// <summary>No channel loses more than with the given scale, which is one of those tried; some lose less.</summary>
    [Fact]
    public void NoChannelLosesMore()
    {
        Tensor weight = TestModels.Random(3, 64, 1, 3, 3);
        QParams given = FromExtremes(weight), fitted = WeightScales.Fit(weight, given, null);
        double[] before = Losses(weight, given), after = Losses(weight, fitted);
        for (int k = 0; k < before.Length; k++)
        {
            Assert.InRange(after[k], 0, before[k]);
            Assert.InRange(fitted.Scales[k] / given.Scales[k], 0.7999f, 1f);
        }
        Assert.Contains(before.Zip(after), l => l.Second < l.First);
    }

    /// <summary>Every integer is one of the two around its weight. The mean square of what errors add for inputs of the model's correlations, 1, 0.9 within
    /// a kernel and 0.5 between kernels, grows in no output.</summary>
    [Theory]
    [InlineData(0, 8, 12, 3, 3)]
    [InlineData(0, 16, 1, 3, 3)]
    [InlineData(0, 12, 40)]
    [InlineData(1, 40, 12)]
    public void RoundingCancelsErrors(int axis, params int[] shape)
    {
        Tensor weight = TestModels.Random(4, shape);
        QParams parameters = FromExtremes(weight, axis);
        QuantizedTensor nearest = Quantizer.Quantize(weight, parameters), made = WeightRounding.Quantize(weight, parameters, null, limitPairs: false);
        int outputs = shape[axis], inputs = shape[1 - axis];
        (double[][] before, double[][] after) = (Errors(weight, nearest, axis), Errors(weight, made, axis));
        double better = 0, worse = 0;
        for (int o = 0; o < outputs; o++)
        {
            Assert.All(after[o], e => Assert.InRange(e, -1.0001, 1.0001));
            (double b, double a) = (Added(before[o], inputs), Added(after[o], inputs));
            Assert.InRange(a, 0, b + 1e-6);
            (better, worse) = (better + a, worse + b);
        }
        Assert.InRange(better, 0, worse - 1e-6);
        if (shape is [_, 1, ..])
        {
            // A flip is worth it while the sum is above 0.5 / 0.9 steps.
            Assert.All(after, e => Assert.InRange(Math.Abs(e.Sum()), 0, 0.56));
            Assert.Contains(before, e => Math.Abs(e.Sum()) > 0.56);
        }
    }

    /// <summary>Any two inputs of 8 bits times a limited pair fit 16 bits, also after rounding; a larger scale is taken where that loses less than making
    /// the larger weight smaller.</summary>
    [Fact]
    public void PairsLeaveRoomForEightBits()
    {
        Tensor weight = TestModels.Random(5, 16, 6, 3, 3);
        weight.Span[0] = weight.Span[9] = 3;
        QParams given = FromExtremes(weight), fitted = WeightScales.Fit(weight, given, null, limitPairs: true);
        Assert.InRange(fitted.Scales[0] / given.Scales[0], 1.5f, 2f);
        QuantizedTensor made = WeightRounding.Quantize(weight, fitted, null, limitPairs: true);
        Assert.InRange(LargestPair(Quantizer.Quantize(weight, given)), 129, 256);
        Assert.InRange(LargestPair(made), 0, 128);
    }

    /// <summary>With x86, fitted networks have all 8 bits of the activations, and no pair of weights that meets them is too large; without fitting, the
    /// spare bit is where PyTorch has it.</summary>
    [Theory]
    [InlineData("x86")]
    [InlineData("fbgemm")]
    public void FittedNetworksHaveAllBits(string preset)
    {
        CalibrationData calibration = ElementwiseTests.Calibrate(preset);
        QuantizeOptions plain = new() { EqualizeChannels = false };
        QuantizedGraph fitted = ModelQuantizer.Quantize(calibration, options: plain), spared = ModelQuantizer.Quantize(calibration, options: plain with { FitWeightScales = false });
        foreach (string value in (string[])["x", "s", "t", "y"])
            Assert.InRange(fitted.QParamsOf(value)!.Scales[0] / spared.QParamsOf(value)!.Scales[0], 0.4, 0.6);
        foreach (QuantizedNode node in fitted.Nodes.Where(n => n.Layer is not null))
        {
            bool depthwise = node.Planned.Node.GetInt("group", 1) > 1;
            Assert.True(depthwise || LargestPair(node.Layer!.Weight) <= 128, node.Name);
        }
        Assert.Contains(spared.Layers, l => LargestPair(l.Weight) > 128);
        // Weights that are not fitted need the bit.
        QuantizedGraph forced = ModelQuantizer.Quantize(calibration, options: plain with
        {
            Tensors = new Dictionary<string, TensorOverride> { ["w3"] = new() { Scale = [0.01f], ZeroPoint = [0] } },
        });
        Assert.Equal(spared.QParamsOf("t")!.Scales[0], forced.QParamsOf("t")!.Scales[0]);
        Assert.Equal(fitted.QParamsOf("s")!.Scales[0], forced.QParamsOf("s")!.Scales[0]);
    }

    /// <summary>onednn has no spare bit to begin with: its fitted weights leave room as well, those that are not fitted are PyTorch's.</summary>
    [Fact]
    public void FittedPairsLeaveRoomWithoutASpareBitToo()
    {
        CalibrationData calibration = ElementwiseTests.Calibrate("onednn");
        QuantizeOptions plain = new() { EqualizeChannels = false };
        QuantizedGraph fitted = ModelQuantizer.Quantize(calibration, options: plain), free = ModelQuantizer.Quantize(calibration, options: plain with { FitWeightScales = false });
        Assert.All(fitted.Nodes.Where(n => n.Layer is not null && n.Planned.Node.GetInt("group", 1) == 1), n => Assert.InRange(LargestPair(n.Layer!.Weight), 0, 128));
        Assert.Contains(free.Layers, l => LargestPair(l.Weight) > 128);
        Assert.All((string[])["x", "s", "t", "y"], v => Assert.Equal(free.QParamsOf(v)!.Scales[0], fitted.QParamsOf(v)!.Scales[0]));
    }

    /// <summary>Networks without element-wise chains keep PyTorch's weights and ranges, to the bit.</summary>
    [Fact]
    public void OtherNetworksStayPyTorchs()
    {
        CalibrationData calibration = ElementwiseTests.Calibrate("x86");
        QuantizedGraph plain = ModelQuantizer.Quantize(calibration, options: new() { FuseElementwise = false });
        foreach (QuantizedNode node in plain.Nodes.Where(n => n.Layer is { Weight.QParams.IsPerChannel: true }))
        {
            Tensor real = plain.Float.Graph.ConstantInput(node.Planned.Node, 1)!.ToTensor();
            Assert.Equal(Quantizer.Quantize(real, node.Layer!.Weight.QParams).Bytes.ToArray(), node.Layer.Weight.Bytes.ToArray());
        }
        Assert.InRange(plain.QParamsOf("s")!.Scales[0], 1.5f * ModelQuantizer.Quantize(calibration, options: new() { EqualizeChannels = false }).QParamsOf("s")!.Scales[0], 10);
    }

    private static QParams Symmetric(params float[] scales) => new(scales, new int[scales.Length], QDType.QInt8, QScheme.PerChannelSymmetric, 0);

    private static QParams FromExtremes(Tensor weight, int axis = 0)
    {
        (int outer, int channels, int inner) = TensorShape.Split(weight.Dims, axis);
        float[] most = new float[channels];
        for (int i = 0; i < weight.Length; i++)
            most[i / inner % channels] = MathF.Max(most[i / inner % channels], MathF.Abs(weight.Span[i]));
        return new(Array.ConvertAll(most, m => m / 127f), new int[channels], QDType.QInt8, QScheme.PerChannelSymmetric, axis);
    }

    private static double[] Losses(Tensor weight, QParams parameters)
    {
        float[] made = Quantizer.Quantize(weight, parameters).Dequantize().ToArray();
        int size = weight.Length / parameters.Scales.Length;
        return [.. Enumerable.Range(0, parameters.Scales.Length).Select(k => Enumerable.Range(k * size, size).Sum(i => Math.Pow(made[i] - (double)weight.Span[i], 2)))];
    }

    /// <summary>By output, input by input, in steps.</summary>
    private static double[][] Errors(Tensor weight, QuantizedTensor made, int axis)
    {
        int outputs = weight.Dims[axis], size = weight.Length / outputs;
        return [.. Enumerable.Range(0, outputs).Select(o => Enumerable.Range(0, size).Select(i =>
        {
            int at = axis == 0 ? o * size + i : i * outputs + o;
            return made.GetInteger(at) - weight.Span[at] / (double)made.QParams.Scales[o];
        }).ToArray())];
    }

    private static double Added(double[] errors, int inputs)
    {
        double sum = 0;
        int kernel = errors.Length / inputs;
        for (int i = 0; i < errors.Length; i++)
        {
            for (int j = 0; j < errors.Length; j++)
                sum += (i == j ? 1 : i / kernel == j / kernel ? 0.9 : 0.5) * errors[i] * errors[j];
        }
        return sum;
    }

    /// <summary>Of two neighbors in the order pixel by pixel, all channels of each.</summary>
    private static int LargestPair(QuantizedTensor weight)
    {
        int outputs = weight.Shape[0], inputs = weight.Shape[1], kernel = weight.Length / outputs / inputs, largest = 0;
        for (int o = 0; o < outputs; o++)
        {
            for (int j = 0; j + 1 < inputs * kernel; j += 2)
                largest = Math.Max(largest, Math.Abs(At(j) + At(j + 1)));

            int At(int j) => weight.GetInteger((o * inputs + j % inputs) * kernel + j / inputs);
        }
        return largest;
    }
}
