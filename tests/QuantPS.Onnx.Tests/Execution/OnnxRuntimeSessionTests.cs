using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Quantization;

namespace QuantPS.Onnx.Tests.Execution;

public class OnnxRuntimeSessionTests
{
    /// <summary>The accuracy that the networks were published with.</summary>
    [Theory]
    [InlineData("fmnist-resnet8", 93.25)]
    [InlineData("fmnist-resnet8-bn", 93.25)]
    [InlineData("fmnist-mobile", 92.15)]
    [InlineData("fmnist-mobile-bn", 92.15)]
    public void FloatAccuracy(string network, double expected) => Assert.Equal(expected, Workflow.Top1(Workflow.PredictFloat(TestData.Network(network), 2000)), 0.051);

    [Fact]
    public void AnyValueCanBeAnOutput()
    {
        OnnxModel model = TestModels.Graph(["N", 4], [Nodes.Create("Relu", "r", ["x"], ["h"]), Nodes.Create("Neg", "n", ["h"], ["y"])], [], ["y"]);
        using OnnxRuntimeSession session = new(model, ["h"]);
        Tensor x = new([2, 4], new float[] { -1, 2, -3, 4, 5, -6, 7, -8 });
        IReadOnlyDictionary<string, Tensor> result = session.Run(x);
        Assert.Equal([0, 2, 0, 4, 5, 0, 7, 0], result["h"].ToArray());
        Assert.Equal([2, 4], result["h"].Shape);
        Assert.Equal(["y"], model.Proto.Graph.Output.Select(o => o.Name));
    }

    [Fact]
    public void WrongShapeNamesInputAndShapes()
    {
        using OnnxRuntimeSession session = new(TestData.Network("fmnist-resnet8"));
        QuantException e = Assert.Throws<QuantException>(() => session.Run(new Tensor(1, 3, 28, 28) { Source = "cat.png" }));
        Assert.Equal(ErrorIds.ShapeMismatch, e.ErrorId);
        Assert.Contains("'image'", e.Message);
        Assert.Matches(@"\[\w+, 1, 28, 28\]", e.Message);
        Assert.Contains("[1, 3, 28, 28]", e.Message);
        Assert.Contains("cat.png", e.Message);
    }

    [Fact]
    public void SampleBecomesABatchOfOne()
    {
        using OnnxRuntimeSession session = new(TestData.Network("fmnist-resnet8"));
        Assert.Equal([1, 10], session.Run(new Tensor(1, 28, 28))["logits"].Shape);
        Assert.Equal([3, 10], session.Run(new Tensor(3, 1, 28, 28))["logits"].Shape);
    }

    /// <summary>It has the float model's name, but may fail where that one does not.</summary>
    [Fact]
    public void AnErrorInTheQuantizedFormSaysSo()
    {
        OnnxModel model = TestModels.Graph(["N", 2, 4, 4],
            [Nodes.Create("Conv", "c", ["x", "w"], ["a"]), Nodes.Create("Reshape", "fixed", ["a", "shape"], ["y"])],
            [TestModels.Weight("w", 1, 3, 2, 1, 1), TensorProtos.Create("shape", [1L, 48L], [2])], ["y"]);
        using Calibrator calibrator = new(model, QConfigPresets.Get("onnxruntime"));
        calibrator.Observe(TestModels.Random(1, 1, 2, 4, 4));
        OnnxModel quantized = QdqExporter.Export(ModelQuantizer.Quantize(calibrator.Finish())).Model;
        Assert.Contains("cannot run 'test'", Message(model));
        Assert.Contains("cannot run the quantized form of 'test'", Message(quantized));
        Assert.Contains("cannot run the quantized form of 'test'", Message(DynamicQuantizer.Quantize(model)));
        Assert.Contains("cannot run 'test'", Message(OnnxModel.Parse(quantized.ToBytes(), "test")));

        static string Message(OnnxModel model)
        {
            using OnnxRuntimeSession session = new(model);
            return Assert.Throws<QuantException>(() => session.Run(TestModels.Random(2, 2, 2, 4, 4))).Message;
        }
    }

    [Fact]
    public void MissingAndUnknownInputs()
    {
        using OnnxRuntimeSession session = new(TestData.Network("fmnist-resnet8"));
        Assert.Contains("'image'", Assert.Throws<QuantException>(() => session.Run(new Dictionary<string, Tensor>())).Message);
        Assert.Contains("'img'", Assert.Throws<QuantException>(() => session.Run(new Dictionary<string, Tensor> { ["img"] = new(1, 1, 28, 28) })).Message);
    }

    [Fact]
    public void UnknownOperatorIsUnsupported()
    {
        OnnxModel model = TestModels.Graph(["N"], [Nodes.Create("Frobnicate", "f", ["x"], ["y"])], [], ["y"]);
        QuantException e = Assert.Throws<QuantException>(() => new OnnxRuntimeSession(model));
        Assert.Equal(ErrorIds.UnsupportedOperator, e.ErrorId);
        Assert.Contains("Frobnicate", e.Message);
    }

    [Fact]
    public void RunsFromSeveralThreads()
    {
        using OnnxRuntimeSession session = new(TestData.Network("fmnist-mobile"), settings: new SessionSettings { IntraOpThreads = 1 });
        Tensor[] batches = [.. TestData.Batches(TestData.TestImages, 8, 64)];
        float[][] alone = [.. batches.Select(b => session.Run(b)["logits"].ToArray())];
        var together = new float[batches.Length][];
        Parallel.For(0, batches.Length, i => together[i] = session.Run(batches[i])["logits"].ToArray());
        Assert.Equal(alone, together);
    }
}
