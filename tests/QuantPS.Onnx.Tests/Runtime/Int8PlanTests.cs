using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Quantization;
using QuantPS.Onnx.Runtime;

namespace QuantPS.Onnx.Tests.Runtime;

public class Int8PlanTests
{
    [Theory]
    [InlineData("fmnist-resnet8")]
    [InlineData("fmnist-mobile-bn")]
    public void BatchSizeDoesNotMatter(string network)
    {
        using Int8Plan plan = new(ModelQuantizer.Quantize(Workflow.Calibrate(TestData.Network(network), QConfigPresets.Default, 32)));
        Tensor batch = TestData.Batches(TestData.TestImages, 6).First();
        float[] together = plan.Run(batch).Outputs["logits"].ToArray();
        Assert.Equal(together, TestData.Batches(batch, 1).SelectMany(x => plan.Run(x).Outputs["logits"].ToArray()));
        Assert.Equal(together, plan.Run(batch).Outputs["logits"].ToArray());
        var parallel = new float[6][];
        Tensor[] each = [.. TestData.Batches(batch, 1)];
        Parallel.For(0, 6, i => parallel[i] = plan.Run(each[i]).Outputs["logits"].ToArray());
        Assert.Equal(together, parallel.SelectMany(p => p));
    }

    /// <summary>Sums that end residual blocks are made with the convolution; whoever looks at every value gets them one after the other.</summary>
    [Theory]
    [InlineData("fmnist-resnet8", "x86")]
    [InlineData("fmnist-resnet8-bn", "qnnpack")]
    [InlineData("fmnist-mobile-bn", "onnxruntime")]
    [InlineData("fmnist-mobile-bn", "x86")]
    public void ValuesBetweenDoNotDependOnWhoLooks(string network, string preset)
    {
        QuantizedGraph graph = ModelQuantizer.Quantize(Workflow.Calibrate(TestData.Network(network), QConfigPresets.Get(preset), 32));
        using Int8Plan plan = new(graph);
        Tensor batch = TestData.Batches(TestData.TestImages, 6).First();
        HashSet<string> all = [.. graph.Nodes.Where(n => n.IsQuantized).Select(n => n.Planned.Output)];
        PlanResult seen = plan.Run(batch, all);
        Assert.Equal(all, seen.CapturedIntegers.Keys.ToHashSet());
        Assert.Equal(seen.Outputs["logits"].ToArray(), plan.Run(batch).Outputs["logits"].ToArray());
    }

    /// <summary>Float nodes before, between and behind int8 ones, also with values that are not float (Shape, Gather).</summary>
    [Fact]
    public void FloatIslands()
    {
        OnnxModel model = TestModels.Graph(["N", 3, 8, 8],
            [
                Nodes.Create("Neg", "neg", ["x"], ["a"]),
                Nodes.Create("Conv", "c1", ["a", "w1"], ["b"]),
                Nodes.Create("Sin", "sin", ["b"], ["c"]),
                Nodes.Create("Shape", "shape", ["b"], ["s"]),
                Nodes.Create("Abs", "abs", ["c"], ["d"]),
                Nodes.Create("Conv", "c2", ["d", "w2"], ["e"], Nodes.Attribute("pads", [1, 1, 1, 1])),
                Nodes.Create("Relu", "r", ["e"], ["f"]),
                Nodes.Create("Reshape", "back", ["f", "s"], ["g"]),
                Nodes.Create("Exp", "exp", ["g"], ["y"]),
            ], [TestModels.Weight("w1", 1, 4, 3, 3, 3), TestModels.Weight("w2", 2, 4, 4, 3, 3)], ["y"]);
        Tensor x = TestModels.Random(7, 3, 3, 8, 8);
        // As it is: the passes would make the shape a constant.
        using Calibrator calibrator = new(model, Workflow.MinMaxPerChannel, passes: []);
        calibrator.Observe(x);
        QuantizedGraph graph = ModelQuantizer.Quantize(calibrator.Finish());
        Assert.Equal(["neg", "sin", "shape", "abs", "exp"], graph.FloatNodes.Select(n => n.Name));
        Assert.All(graph.FloatNodes, n => Assert.False(string.IsNullOrEmpty(n.Reason)));
        using Int8Plan plan = new(graph);
        // Three runs of float nodes, and the reshape, which has no kernel where its shape is computed.
        Assert.Equal(4, plan.FloatIslandCount);
        using OnnxRuntimeSession session = new(model);
        float[] expected = session.Run(x)["y"].ToArray(), y = plan.Run(x).Outputs["y"].ToArray();
        Assert.All(expected.Zip(y), v => Assert.Equal(Math.Log(v.First), Math.Log(v.Second), 0.15));
        Assert.Contains(y, v => v != 1f);
    }

    [Fact]
    public void CapturesWhatIsAskedFor()
    {
        QuantizedGraph graph = ModelQuantizer.Quantize(Workflow.Calibrate(TestData.Network("fmnist-resnet8"), QConfigPresets.Default, 32));
        using Int8Plan plan = new(graph);
        PlanResult result = plan.Run(TestData.Batches(TestData.TestImages, 2).First(), new HashSet<string> { "image", "/Relu_output_0", "logits" });
        Assert.Equal(["/Relu_output_0", "image", "logits"], result.Captured.Keys.Order(StringComparer.Ordinal));
        Assert.Equal(["/Relu_output_0", "logits"], result.CapturedIntegers.Keys.Order(StringComparer.Ordinal));
        QuantizedTensor relu = result.CapturedIntegers["/Relu_output_0"];
        Assert.Equal([2, 16, 28, 28], relu.Shape);
        Assert.Same(graph.QParamsOf("/Relu_output_0"), relu.QParams);
        Assert.Equal(relu.Dequantize().ToArray(), result.Captured["/Relu_output_0"].ToArray());
    }

    [Fact]
    public void WrongShapeIsRefused()
    {
        using Int8Plan plan = new(ModelQuantizer.Quantize(Workflow.Calibrate(TestData.Network("fmnist-resnet8"), QConfigPresets.Default, 32)));
        QuantException e = Assert.Throws<QuantException>(() => plan.Run(new Tensor(1, 1, 27, 28)));
        Assert.Equal(ErrorIds.ShapeMismatch, e.ErrorId);
        Assert.Equal("image", plan.Run(new Tensor(1, 28, 28) { Source = "image" }).Outputs["logits"].Source);
    }
}
