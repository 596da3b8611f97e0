using QuantPS.Engine.Configuration;
using QuantPS.Engine.Numerics;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Quantization;

namespace QuantPS.Onnx.Tests.Quantization;

/// <summary>One calibration, converted again and again with other options: what is remembered changes nothing.</summary>
public class RepeatedConversionTests
{
    private const string Equalized = "fmnist-mobile-bn";

    [Theory]
    [InlineData("x86", "fmnist-resnet8")]
    [InlineData("x86", Equalized)]
    [InlineData("onnxruntime", "fmnist-resnet8")]
    public void EveryConversionIsAsTheFirst(string preset, string network)
    {
        OnnxModel model = TestData.Network(network);
        CalibrationData data = Workflow.Calibrate(model, QConfigPresets.Get(preset), 32);
        QuantizeOptions?[] all =
        [
            null, new() { ExcludedOpTypes = ["Add"] }, new() { PerChannel = false }, new() { ReduceRange = true }, new() { WeightType = QDType.QInt16 },
            new() { ActivationType = QDType.QInt8, SymmetricActivations = true }, new() { MinimumRealRange = 3 }, new() { ExcludedNodes = [FirstLayer(data)] }, new() { EqualizeChannels = false }, new() { FuseElementwise = false },
        ];
        foreach (QuantizeOptions? options in all.Concat(all.Reverse()))
            Assert.Equal(Text(Workflow.Calibrate(model, QConfigPresets.Get(preset), 32), options), Text(data, options));
    }

    /// <summary>Also of an equalized model, which is not made anew either.</summary>
    [Theory]
    [InlineData("fmnist-resnet8")]
    [InlineData(Equalized)]
    public void UnchangedWeightsAreShared(string network)
    {
        CalibrationData data = Workflow.Calibrate(TestData.Network(network), QConfigPresets.Default, 32);
        QuantizedGraph first = ModelQuantizer.Quantize(data), second = ModelQuantizer.Quantize(data, options: new() { ExcludedNodes = [data.Plan.Nodes.Last(n => n.Node.OpType == "Gemm").Name] });
        Assert.Equal(network == Equalized, first.Float.Preparation.Any(p => p.Name == nameof(ChannelEqualization)));
        Assert.Same(first.Float, second.Float);
        Assert.Equal(first.Layers.Count - 1, second.Layers.Count);
        Assert.All(second.Layers, l => Assert.Same(first.Layers.Single(f => f.Name == l.Name).Weight, l.Weight));
    }

    [Theory]
    [InlineData("fmnist-resnet8")]
    [InlineData(Equalized)]
    public void ObservingOnIsNoticed(string network)
    {
        OnnxModel model = TestData.Network(network);
        using Calibrator calibrator = new(model, QConfigPresets.Default);
        foreach (var batch in TestData.Batches(TestData.Calibration, 16, 16))
            calibrator.Observe(batch);
        CalibrationData data = calibrator.Finish();
        string before = Text(data, null);
        foreach (var batch in TestData.Batches(TestData.Calibration, 16, 64).Skip(1))
            calibrator.Observe(batch);
        Assert.NotEqual(before, Text(data, null));
        // Equalization asks how many samples the ranges are of.
        Assert.Equal(Text(calibrator.Finish() with { SampleCount = data.SampleCount }, null), Text(data, null));
    }

    private static string FirstLayer(CalibrationData data) => data.Plan.Nodes.First(n => n.Node.OpType == "Conv").Name;

    private static string Text(CalibrationData data, QuantizeOptions? options)
    {
        QuantizedGraph graph = ModelQuantizer.Quantize(data, options: options);
        IEnumerable<string> values = graph.Plan.Observed.Select(v => $"{v} {graph.QParamsOf(v)!.Scales[0]:R} {graph.QParamsOf(v)!.ZeroPoints[0]}");
        IEnumerable<string> weights = graph.Nodes.SelectMany(n => n.Weights.OrderBy(w => w.Key).Select(w =>
            $"{n.Name} {w.Key} {string.Join(' ', w.Value.QParams.Scales.ToArray())} {Convert.ToHexString(w.Value.Bytes)}"));
        return string.Join('\n', values.Concat(weights));
    }
}
