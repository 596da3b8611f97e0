using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Quantization;

namespace QuantPS.Onnx.Tests.Runtime;

/// <summary>Real networks, float to int8: accuracy, and ONNX Runtime's run of the exported file.</summary>
public class NetworkTests(ITestOutputHelper output)
{
    public static TheoryData<string, string> Cases
    {
        get
        {
            TheoryData<string, string> cases = [];
            foreach (string network in TestData.Networks)
            {
                foreach (string preset in (string[])["x86", "onednn", "minmax", "onnxruntime"])
                    cases.Add(network, preset);
            }
            return cases;
        }
    }

    /// <summary>A quarter of the test images. The bounds leave room for what a few images more or less mean on so few.</summary>
    [Theory]
    [MemberData(nameof(Cases))]
    public void FirstImages(string network, string preset) => Check(network, preset, 500, mostDrop: 0.8, leastAgreement: 99);

    /// <summary>All test images. Takes minutes with the reference kernel: run with -explicit only.</summary>
    [Theory(Explicit = true)]
    [MemberData(nameof(Cases))]
    public void AllImages(string network, string preset) => Check(network, preset, 2000, mostDrop: network.Contains("mobile") ? 1.0 : 0.5, leastAgreement: network.Contains("mobile") ? 99 : 99.5);

    private void Check(string network, string preset, int images, double mostDrop, double leastAgreement)
    {
        OnnxModel model = TestData.Network(network);
        QuantizedGraph graph = ModelQuantizer.Quantize(Workflow.Calibrate(model, Workflow.ConfigOf(preset)));
        Assert.Empty(graph.FloatNodes);
        int[] ours = Workflow.PredictInt8(graph, images), theirs = Workflow.PredictFloat(QdqExporter.Export(graph).Model, images);
        double real = Workflow.Top1(Workflow.PredictFloat(model, images)), int8 = Workflow.Top1(ours), agreement = Workflow.Agreement(ours, theirs);
        output.WriteLine($"{network} {preset}, {images} images: float {real:F2}, int8 {int8:F2}, ONNX Runtime on the exported file {Workflow.Top1(theirs):F2}, agreement {agreement:F2}");
        Assert.InRange(real - int8, -1.2, mostDrop);
        // With ONNX Runtime's arithmetic nothing is left to differ; the other engines keep the bias float.
        Assert.InRange(agreement, preset == "onnxruntime" ? 99.8 : leastAgreement, 100);
    }
}
