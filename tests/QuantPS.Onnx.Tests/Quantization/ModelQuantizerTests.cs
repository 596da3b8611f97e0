using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Quantization;
using QuantPS.Onnx.Runtime;

namespace QuantPS.Onnx.Tests.Quantization;

public class ModelQuantizerTests
{
    /// <summary>The founding example: Conv2d(5, 2, 3), weights 0, bias 0.5, a thousand tensors of ones.</summary>
    [Theory]
    [InlineData("x86", QScheme.PerChannelAffine, -128)]
    [InlineData("fbgemm", QScheme.PerChannelAffine, -128)]
    [InlineData("qnnpack", QScheme.PerChannelAffine, -128)]
    [InlineData("onednn", QScheme.PerChannelSymmetric, 0)]
    public void FoundingExample(string engine, QScheme scheme, int weightZeroPoint)
    {
        QConfig config = QConfigPresets.Get(engine) with
        {
            Activation = new ObserverSpec { Kind = ObserverKind.MinMax },
            Weight = new ObserverSpec { Kind = ObserverKind.PerChannelMinMax, DType = QDType.QInt8, Scheme = scheme },
        };
        Tensor ones = new(2, 5, 7, 7);
        ones.Span.Fill(1f);
        using Calibrator calibrator = new(ModelBuilder.Conv2d(new Tensor(2, 5, 3, 3), [0.5f, 0.5f], new ConvGeometry([3, 3])), config);
        for (int i = 0; i < 1000; i++)
            calibrator.Observe(ones);
        QuantizedGraph graph = ModelQuantizer.Quantize(calibrator.Finish());
        QuantizedWeightLayer layer = Assert.Single(graph.Layers);
        Assert.Equal(0.003921568859368563, layer.InputScale);
        Assert.Equal(0.0019607844296842813, layer.OutputScale);
        Assert.Equal(0, layer.OutputZeroPoint);
        Assert.All(layer.Weight.QParams.Scales.ToArray(), s => Assert.Equal(1.1920928955078125e-07f, s));
        Assert.All(layer.Weight.QParams.ZeroPoints.ToArray(), z => Assert.Equal(weightZeroPoint, z));
        Assert.All((sbyte[])layer.Weight.IntRepr(), w => Assert.Equal(weightZeroPoint, w));
        Assert.Equal([0.5f, 0.5f], layer.Bias!);
        if (engine == "qnnpack")
            Assert.Equal([1069547456, 1069547456], layer.QuantizedBias!);
        else
            Assert.Null(layer.QuantizedBias);
        using Int8Plan plan = new(graph);
        Tensor one = new(1, 5, 7, 7);
        one.Span.Fill(1f);
        PlanResult result = plan.Run(one, new HashSet<string> { "output" });
        Assert.Equal([1, 2, 5, 5], result.CapturedIntegers["output"].Shape);
        Assert.All((byte[])result.CapturedIntegers["output"].IntRepr(), v => Assert.Equal(255, v));
        Assert.All(result.Outputs["output"].ToArray(), v => Assert.Equal(0.5f, v));
    }

    [Fact]
    public void OneDnnRefusesAsymmetricWeightsNamingTheLayer()
    {
        QConfig config = QConfigPresets.Get("onednn") with { Weight = new ObserverSpec { Kind = ObserverKind.PerChannelMinMax, DType = QDType.QInt8, Scheme = QScheme.PerChannelAffine } };
        CalibrationData data = Workflow.Calibrate(TestData.Network("fmnist-resnet8"), config, 32);
        QuantException e = Assert.Throws<QuantException>(() => ModelQuantizer.Quantize(data));
        Assert.Equal(ErrorIds.AsymmetricWeightRefused, e.ErrorId);
        Assert.Contains("/c/Conv", e.Message);
    }

    [Fact]
    public void NetworkIsQuantizedThroughout()
    {
        QuantizedGraph graph = ModelQuantizer.Quantize(Workflow.Calibrate(TestData.Network("fmnist-resnet8-bn"), QConfigPresets.Default, 64));
        Assert.Empty(graph.FloatNodes);
        Assert.Empty(graph.Warnings);
        Assert.Equal(10, graph.Layers.Count);
        Assert.Equal(["Conv+Relu", "Conv+Relu", "Conv", "Add+Relu"], graph.Nodes.Take(4).Select(n => n.OpType));
        Assert.Equal(6, graph.Layers.Count(l => !l.Relu));
        // The pool and Flatten pass integers on: PyTorch shares the observer.
        Assert.Same(graph.QParamsOf("/l3/Relu_1_output_0"), graph.QParamsOf("/Flatten_output_0"));
        Assert.Null(graph.QParamsOf("/c/Conv_output_0"));
        Assert.Equal(127, Math.Round((double)graph.Calibration.Observers["/Relu_output_0"].Range.Max));
    }

    [Fact]
    public void NarrowWeightRangeClampsTheIntegers()
    {
        QConfig config = QConfigPresets.Get("fbgemm") with { Weight = new ObserverSpec { Kind = ObserverKind.MinMax, DType = QDType.QInt8, Scheme = QScheme.PerTensorSymmetric, QuantMin = -7, QuantMax = 7 } };
        Tensor w = TestModels.Random(1, 3, 2, 2, 2);
        QuantizedTensor q = ModelQuantizer.QuantizeWeight(w, null, new QParams(0.1f, 0, QDType.QUInt8), config);
        Assert.Equal(7, q.SBytes.ToArray().Max(v => Math.Abs((int)v)));
        Assert.Equal(MathF.Max(-w.Min(), w.Max()) / 7f, q.QParams.Scales[0]);
    }

    [Fact]
    public void FixedRangesAreNotObserved()
    {
        OnnxModel model = TestModels.Graph(["N", 3, 8, 8], [Nodes.Create("Conv", "c", ["x", "w"], ["h"]), Nodes.Create("Sigmoid", "s", ["h"], ["y"])], [TestModels.Weight("w", 1, 4, 3, 3, 3)], ["y"]);
        using Calibrator torch = new(model, QConfigPresets.Default), ort = new(model, QConfigPresets.Get("onnxruntime"));
        torch.Observe(TestModels.Random(1, 1, 3, 8, 8));
        ort.Observe(TestModels.Random(1, 1, 3, 8, 8));
        QParams y = ModelQuantizer.Quantize(torch.Finish()).QParamsOf("y")!;
        Assert.Equal((1f / 256f, 0), (y.Scales[0], y.ZeroPoints[0]));
        Assert.Contains("y", ort.Finish().Observers.Keys);
        Assert.DoesNotContain("y", torch.Finish().Observers.Keys);
    }

    /// <summary>ONNX Runtime's tool makes the weight scale larger where the bias would not fit int32; PyTorch's engines saturate or keep float.</summary>
    [Fact]
    public void HugeBiasIsReportedOrAvoided()
    {
        Tensor w = new(1, 1, 1, 1);
        w.Span[0] = 1e-6f;
        OnnxModel model = ModelBuilder.Conv2d(w, [1000f], new ConvGeometry([1, 1]), "tiny");
        Assert.Contains("tiny", Assert.Single(Quantize("qnnpack").Warnings));
        Assert.Empty(Quantize("x86").Warnings);
        QuantizedGraph ort = Quantize("onnxruntime");
        Assert.Empty(ort.Warnings);
        Assert.InRange(ort.Layers[0].BiasHeadroom[0], 1.0, 1.001);

        QuantizedGraph Quantize(string preset)
        {
            using Calibrator calibrator = new(model, QConfigPresets.Get(preset));
            calibrator.Observe(TestModels.Random(1, 1, 1, 4, 4));
            return ModelQuantizer.Quantize(calibrator.Finish());
        }
    }
}
