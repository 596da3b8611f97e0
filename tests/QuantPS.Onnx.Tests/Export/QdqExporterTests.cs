using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Quantization;

namespace QuantPS.Onnx.Tests.Export;

public class QdqExporterTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData("fmnist-resnet8", "x86")]
    [InlineData("fmnist-mobile", "x86")]
    [InlineData("fmnist-resnet8", "minmax")]
    [InlineData("fmnist-mobile", "minmax")]
    [InlineData("fmnist-mobile", "onnxruntime")]
    public void OnnxRuntimeFusesEveryConvolution(string network, string preset)
    {
        QuantizedGraph graph = ModelQuantizer.Quantize(Workflow.Calibrate(TestData.Network(network), Workflow.ConfigOf(preset), 128));
        ExportResult export = QdqExporter.Export(graph);
        string path = Path.Combine(Path.GetTempPath(), Guid.NewGuid() + ".onnx");
        using (new OnnxRuntimeSession(export.Model, settings: new SessionSettings { OptimizedModelPath = path }))
        {
        }
        string counts = string.Join(" ", OnnxModel.Load(path).Graph.Nodes.GroupBy(n => n.OpType).Select(g => $"{g.Key}:{g.Count()}"));
        File.Delete(path);
        int[] ours = Workflow.PredictInt8(graph, 500), theirs = Workflow.PredictFloat(export.Model, 500);
        output.WriteLine($"{network} {preset}: {counts}; agreement {Workflow.Agreement(ours, theirs)}; top1 {Workflow.Top1(ours)} {Workflow.Top1(theirs)}");
    }
}
