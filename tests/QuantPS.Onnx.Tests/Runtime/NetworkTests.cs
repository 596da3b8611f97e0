using QuantPS.Onnx.Model;
using QuantPS.Onnx.Quantization;

namespace QuantPS.Onnx.Tests.Runtime;

/// <summary>Real networks, float to int8.</summary>
public class NetworkTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData("fmnist-resnet8", "x86", 0.5)]
    [InlineData("fmnist-mobile", "x86", 1.0)]
    [InlineData("fmnist-resnet8", "minmax", 0.5)]
    [InlineData("fmnist-mobile", "minmax", 1.0)]
    [InlineData("fmnist-resnet8", "onednn", 0.5)]
    [InlineData("fmnist-mobile", "onednn", 1.0)]
    public void Int8KeepsAccuracy(string network, string preset, double drop)
    {
        const int images = 2000;
        OnnxModel model = TestData.Network(network);
        var sw = System.Diagnostics.Stopwatch.StartNew();
        QuantizedGraph graph = ModelQuantizer.Quantize(Workflow.Calibrate(model, Workflow.ConfigOf(preset)));
        double tc = sw.Elapsed.TotalSeconds;
        double real = Workflow.Top1(Workflow.PredictFloat(model, images)), int8 = Workflow.Top1(Workflow.PredictInt8(graph, images));
        output.WriteLine($"{network} {preset}: float {real}, int8 {int8}; calibration {tc:F1} s, all {sw.Elapsed.TotalSeconds:F1} s; float nodes {graph.FloatNodes.Count}, layers {graph.Layers.Count} {string.Join(",", graph.Layers.Select(l => l.EffectiveEngine).Distinct())}");
        Assert.InRange(real - int8, -5, drop);
    }
}
