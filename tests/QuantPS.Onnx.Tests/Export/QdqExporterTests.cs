using System.Diagnostics;
using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Passes;
using QuantPS.Onnx.Quantization;
using QuantPS.Onnx.Runtime;

namespace QuantPS.Onnx.Tests.Export;

public class QdqExporterTests
{
    private const string Python = "/usr/bin/python3";

    [Theory]
    [InlineData("fmnist-resnet8", "x86")]
    [InlineData("fmnist-resnet8-bn", "minmax")]
    [InlineData("fmnist-mobile", "x86")]
    [InlineData("fmnist-mobile-bn", "qnnpack")]
    [InlineData("fmnist-mobile", "onnxruntime")]
    public void OnnxRuntimeFusesEveryConvolution(string network, string preset)
    {
        QuantizedGraph graph = ModelQuantizer.Quantize(Workflow.Calibrate(TestData.Network(network), Workflow.ConfigOf(preset), 64));
        string[] operators = OptimizedOperators(QdqExporter.Export(graph).Model);
        Assert.Equal(graph.Layers.Count(l => l is QuantizedConv), operators.Count(o => o == "QLinearConv"));
        Assert.Equal(graph.Layers.Count(l => l is QuantizedLinear), operators.Count(o => o == "QGemm"));
        Assert.DoesNotContain("Conv", operators);
        Assert.DoesNotContain("Gemm", operators);
        Assert.DoesNotContain("BatchNormalization", operators);
    }

    [Theory]
    [InlineData("fmnist-resnet8-bn", "x86")]
    [InlineData("fmnist-mobile", "x86")]
    public void CheckerAcceptsTheFile(string network, string preset)
    {
        if (!File.Exists(Python) || Run(Python, "-c", "import onnx").ExitCode != 0)
            Assert.Skip("python3-onnx is not installed");
        using TempFile file = new();
        QdqExporter.Export(ModelQuantizer.Quantize(Workflow.Calibrate(TestData.Network(network), Workflow.ConfigOf(preset), 64))).Model.Save(file.Path);
        (int exitCode, string text) = Run(Python, "-c", "import onnx,sys; m=onnx.load(sys.argv[1]); onnx.checker.check_model(m, full_check=True)", file.Path);
        Assert.True(exitCode == 0, text);
    }

    /// <summary>With ONNX Runtime's own arithmetic there is nothing left to differ.</summary>
    [Theory]
    [InlineData("fmnist-resnet8")]
    [InlineData("fmnist-mobile")]
    public void OnnxRuntimeProfileGivesOnnxRuntimesBits(string network)
    {
        QuantizedGraph graph = ModelQuantizer.Quantize(Workflow.Calibrate(TestData.Network(network), Workflow.ConfigOf("onnxruntime"), 64));
        Tensor x = TestData.Batches(TestData.TestImages, 50).First();
        using Int8Plan plan = new(graph);
        using OnnxRuntimeSession session = new(QdqExporter.Export(graph).Model);
        float[] ours = plan.Run(x).Outputs["logits"].ToArray(), theirs = session.Run(x)["logits"].ToArray();
        float step = graph.QParamsOf("logits")!.Scales[0];
        Assert.InRange(ours.Zip(theirs).Count(p => p.First != p.Second), 0, ours.Length / 100);
        Assert.All(ours.Zip(theirs), p => Assert.InRange(Math.Abs(p.First - p.Second), 0, 1.01f * step));
    }

    [Theory]
    [InlineData(1, true, false)]
    [InlineData(1, false, false)]
    [InlineData(4, true, false)]
    [InlineData(1, true, true)]
    public void AsymmetricWeightsPerChannel(int groups, bool reduceRange, bool signedActivations)
    {
        QConfig config = QConfigPresets.Get("fbgemm") with
        {
            Activation = new ObserverSpec { Kind = ObserverKind.MinMax, ReduceRange = reduceRange, DType = signedActivations ? QDType.QInt8 : QDType.QUInt8 },
            Weight = new ObserverSpec { Kind = ObserverKind.PerChannelMinMax, DType = QDType.QInt8, Scheme = QScheme.PerChannelAffine },
        };
        AssertSameAsOnnxRuntime(TestModels.Conv(4, 8, 3, groups: groups), config, TestModels.Random(9, 2, 4, 9, 9));
    }

    [Fact]
    public void MatrixWeightsAsInAndOut()
    {
        QConfig config = QConfigPresets.Get("fbgemm") with { Activation = new ObserverSpec { Kind = ObserverKind.MinMax, ReduceRange = true } };
        OnnxModel model = TestModels.Graph(["N", 6],
            [Nodes.Create("Gemm", "g", ["x", "w", "b"], ["h"]), Nodes.Create("Relu", "r", ["h"], ["hr"]), Nodes.Create("MatMul", "m", ["hr", "w2"], ["y"])],
            [TestModels.Weight("w", 1, 6, 5), TestModels.Weight("b", 2, 1, 5), TestModels.Weight("w2", 3, 5, 3)], ["y"]);
        AssertSameAsOnnxRuntime(model, config, TestModels.Random(9, 40, 6));
    }

    /// <summary>The float limits of a fused activation hold for the integers, whether or not the range of the integers implies them.</summary>
    [Theory]
    [InlineData(-0.5f, 0.75f)]
    [InlineData(0f, 0.5f)]
    [InlineData(0f, 100f)]
    public void ClipLimitsTheIntegers(float low, float high)
    {
        QConfig config = QConfigPresets.Get("x86");
        OnnxModel model = TestModels.Graph(["N", 3, 8, 8],
            [Nodes.Create("Conv", "c", ["x", "w"], ["h"]), Nodes.Create("Clip", "k", ["h", "low", "high"], ["y"])],
            [TestModels.Weight("w", 1, 4, 3, 3, 3), TensorProtos.Create("low", [low], []), TensorProtos.Create("high", [high], [])], ["y"]);
        QuantizedGraph graph = AssertSameAsOnnxRuntime(model, config, TestModels.Random(9, 2, 3, 8, 8));
        using Int8Plan plan = new(graph);
        Tensor y = plan.Run(TestModels.Random(10, 2, 3, 8, 8)).Outputs["y"];
        float step = graph.QParamsOf("y")!.Scales[0];
        Assert.InRange(y.Min(), low - step / 2, high);
        Assert.InRange(y.Max(), low, high + step / 2);
        Assert.Equal("Conv+Clip", graph.Nodes[0].OpType);
    }

    [Fact]
    public void BiasBeyondInt32WidensTheWeightScaleAndIsReported()
    {
        OnnxModel model = ModelBuilder.Conv2d(new Tensor(1, 1, 1, 1), [100f], new ConvGeometry([1, 1]));
        QuantizedGraph graph = Quantize(model, QConfigPresets.Get("fbgemm"), TestModels.Random(3, 1, 1, 4, 4));
        ExportResult export = QdqExporter.Export(graph);
        Assert.Contains("conv", Assert.Single(export.Notes));
        using OnnxRuntimeSession session = new(export.Model);
        Assert.All(session.Run(TestModels.Random(4, 1, 1, 4, 4))["output"].ToArray(), v => Assert.Equal(100f, v, 0.5f));
    }

    [Fact]
    public void OldOperatorSetIsLifted()
    {
        AttributeProto axes = Nodes.Attribute("axes", [2]);
        OnnxModel model = TestModels.Graph(["N", 3, 8, 8],
            [
                Nodes.Create("Conv", "c", ["x", "w"], ["h"]),
                Nodes.Create("Clip", "k", ["h"], ["hc"], Nodes.Attribute("min", 0f), Nodes.Attribute("max", 0.5f)),
                Nodes.Create("Unsqueeze", "u", ["hc"], ["hu"], axes),
                Nodes.Create("Softmax", "s", ["hu"], ["y"], Nodes.Attribute("axis", 4L)),
            ], [TestModels.Weight("w", 1, 4, 3, 3, 3)], ["y"], opset: 10, ir: 5);
        Tensor x = TestModels.Random(9, 2, 3, 8, 8);
        ExportResult export = QdqExporter.Export(Quantize(model, QConfigPresets.Get("x86"), x));
        Assert.Equal(13, export.Model.Opset);
        using OnnxRuntimeSession session = new(export.Model), real = new(model);
        Assert.Equal(real.Run(x)["y"].ToArray(), session.Run(x)["y"].ToArray(), (a, b) => Math.Abs(a - b) < 0.01f);
    }

    /// <summary>A Softmax over several dimensions takes further nodes, which only the passes may add.</summary>
    [Fact]
    public void ChangedMeaningIsLiftedBeforeCalibrationOrRefused()
    {
        OnnxModel model = TestModels.Graph(["N", 3, 8, 8],
            [Nodes.Create("Conv", "c", ["x", "w"], ["h"]), Nodes.Create("Softmax", "s", ["h"], ["y"])], [TestModels.Weight("w", 1, 4, 3, 3, 3)], ["y"], opset: 10, ir: 5);
        Tensor x = TestModels.Random(9, 2, 3, 8, 8);
        using OnnxRuntimeSession session = new(QdqExporter.Export(Quantize(model, QConfigPresets.Get("x86"), x)).Model), real = new(model);
        Assert.Equal(real.Run(x)["y"].ToArray(), session.Run(x)["y"].ToArray(), (a, b) => Math.Abs(a - b) < 0.02f);
        QuantException e = Assert.Throws<QuantException>(() => QdqExporter.Export(Quantize(model, QConfigPresets.Get("x86"), x, [])));
        Assert.Equal(ErrorIds.UnsupportedOperator, e.ErrorId);
        Assert.Contains("s (Softmax)", e.Message);
    }

    private static QuantizedGraph Quantize(OnnxModel model, QConfig config, Tensor x, GraphPass[]? passes = null)
    {
        using Calibrator calibrator = new(model, config, passes);
        calibrator.Observe(x);
        return ModelQuantizer.Quantize(calibrator.Finish());
    }

    /// <summary>Ours and ONNX Runtime's run of the exported file, at most a step apart (int32 bias, division), and that seldom.</summary>
    private static QuantizedGraph AssertSameAsOnnxRuntime(OnnxModel model, QConfig config, Tensor x)
    {
        QuantizedGraph graph = Quantize(model, config, x);
        Assert.Empty(graph.FloatNodes);
        using Int8Plan plan = new(graph);
        using OnnxRuntimeSession session = new(QdqExporter.Export(graph).Model), real = new(model);
        string output = graph.Float.Graph.Outputs[0].Name;
        float step = graph.QParamsOf(output)!.Scales[0];
        float[] ours = plan.Run(x).Outputs[output].ToArray(), theirs = session.Run(x)[output].ToArray(), expected = real.Run(x)[output].ToArray();
        Assert.All(ours.Zip(theirs), p => Assert.InRange(Math.Abs(p.First - p.Second), 0, 1.01f * step));
        Assert.InRange(ours.Zip(theirs).Count(p => p.First != p.Second), 0, ours.Length / 50);
        Assert.InRange(ours.Zip(expected).Average(p => Math.Abs(p.First - p.Second)), 0, 0.06 * (expected.Max() - expected.Min()));
        return graph;
    }

    private static string[] OptimizedOperators(OnnxModel model)
    {
        using TempFile file = new();
        using (new OnnxRuntimeSession(model, settings: new SessionSettings { OptimizedModelPath = file.Path }))
            return [.. OnnxModel.Load(file.Path).Graph.Nodes.Select(n => n.OpType)];
    }

    private static (int ExitCode, string Text) Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        string text = process.StandardError.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, text);
    }
}
