using QuantPS.Engine.Configuration;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Observers;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Quantization;
using QuantPS.Onnx.Runtime;

namespace QuantPS.Onnx.Tests.Operators;

/// <summary>Paddings of transposed convolutions that are worked out (auto_pad, output_shape) or uneven are what ONNX Runtime makes of them, and have a kernel.</summary>
public class TransposedWindowTests
{
    private const int H = 6, W = 7;

    [Theory]
    [InlineData("SAME_UPPER")]
    [InlineData("SAME_LOWER")]
    [InlineData("VALID")]
    [InlineData("NOTSET")]
    [InlineData("output_shape")]
    [InlineData("output_shape SAME_UPPER")]
    public void IsOnnxRuntimes(string mode)
    {
        var random = new Random(3);
        for (int draw = 0; draw < 12; draw++)
        {
            int[] kernel = [random.Next(2, 6), random.Next(2, 6)], stride = [random.Next(1, Math.Min(kernel[0], 3) + 1), random.Next(1, Math.Min(kernel[1], 3) + 1)];
            List<AttributeProto> attributes = [Nodes.Attribute("strides", stride)];
            if (mode.StartsWith("output_shape", StringComparison.Ordinal))
                attributes.Add(Nodes.Attribute("output_shape", [(H - 1) * stride[0] + kernel[0] - random.Next(kernel[0]), (W - 1) * stride[1] + kernel[1] - random.Next(kernel[1])]));
            if (mode == "NOTSET")
                attributes.Add(Nodes.Attribute("pads", [random.Next(kernel[0]), random.Next(kernel[1]), random.Next(kernel[0]), random.Next(kernel[1])]));
            else if (mode.Split(' ')[^1] is not "output_shape" and string auto)
                attributes.Add(Nodes.Attribute("auto_pad", auto));
            if (mode.StartsWith("SAME", StringComparison.Ordinal) && draw % 2 == 1 && stride[0] > 1)
                attributes.Add(Nodes.Attribute("output_padding", [1, 0]));
            foreach (string preset in (string[])["x86", "onnxruntime"])
                Check($"{mode}, draw {draw}, {preset}", preset, [Conv(), Nodes.Create("ConvTranspose", "t", ["h", "k", "b"], ["y"], [.. attributes])], kernel, null);
        }
    }

    /// <summary>PyTorch's layer has no ReLU; what it gives is limited behind it.</summary>
    [Theory]
    [InlineData("x86")]
    [InlineData("fbgemm")]
    [InlineData("qnnpack")]
    public void ReluBehindIsPartOfTheLayer(string preset) => Check(preset, preset,
        [Conv(), Nodes.Create("ConvTranspose", "t", ["h", "k", "b"], ["u"], Nodes.Attribute("strides", [2, 2])), Nodes.Create("Relu", "r", ["u"], ["y"])], [3, 3], 0);

    /// <summary>What a given output size cuts off depends on the input's.</summary>
    [Fact]
    public void OutputsOfOpenInputsAreLeftToOnnxRuntime()
    {
        OnnxModel model = Model([Conv(), Nodes.Create("ConvTranspose", "t", ["h", "k", "b"], ["y"], Nodes.Attribute("strides", [2, 2]), Nodes.Attribute("output_shape", [2 * H, 2 * W]))], [3, 3], "height");
        QuantizedGraph graph = Quantize(model, "x86");
        QuantizedNode node = graph.Nodes.Single(n => n.Name == "t");
        Assert.True(node.IsQuantized);
        Assert.Null(node.Layer);
        using Int8Plan plan = new(graph);
        Assert.Equal([2, 5, 2 * H, 2 * W], plan.Run(TestModels.Random(5, 2, 3, H, W)).Outputs["y"].Shape);
    }

    private static NodeProto Conv() => Nodes.Create("Conv", "c", ["x", "w"], ["h"], Nodes.Attribute("pads", [1, 1, 1, 1]));

    private static OnnxModel Model(NodeProto[] nodes, int[] kernel, object? height = null) => TestModels.Graph(["N", 3, height ?? H, W], nodes,
        [TestModels.Weight("w", 1, 4, 3, 3, 3), TestModels.Weight("k", 2, 4, 5, kernel[0], kernel[1]), TestModels.Weight("b", 3, 5)], ["y"]);

    private static QuantizedGraph Quantize(OnnxModel model, string preset)
    {
        QConfig config = QConfigPresets.Get(preset);
        using Calibrator calibrator = new(model, config with { Activation = config.Activation with { Kind = ObserverKind.MinMax } });
        calibrator.Observe(TestModels.Random(5, 2, 3, H, W));
        return ModelQuantizer.Quantize(calibrator.Finish());
    }

    private static void Check(string what, string preset, NodeProto[] nodes, int[] kernel, float? least)
    {
        QuantizedGraph graph = Quantize(Model(nodes, kernel), preset);
        Assert.True(graph.Nodes.Single(n => n.Name == "t").Layer is QuantizedConvTranspose, what);
        Tensor x = TestModels.Random(5, 2, 3, H, W);
        OnnxModel file = QdqExporter.Export(graph).Model;
        using Int8Plan plan = new(graph);
        using ModelPlan own = new(file);
        using OnnxRuntimeSession session = new(file);
        Assert.True(plan.FloatIslandCount == 0, what);
        Assert.True(own.FloatIslandCount == 0, what);
        Tensor expected = session.Run(x)["y"], y = plan.Run(x).Outputs["y"], z = (Tensor)own.Run(x)["y"];
        Assert.Equal(expected.Shape, y.Shape);
        Assert.Equal(expected.Shape, z.Shape);
        float step = graph.QParamsOf("y")!.Scales[0] * 1.01f;
        Assert.All(expected.ToArray().Zip(y.ToArray(), z.ToArray()), v => Assert.True(Math.Abs(v.First - v.Second) <= step && Math.Abs(v.First - v.Third) <= step, what));
        // The files' sums are exact in either runtime, so only ties differ.
        Assert.True(expected.ToArray().Zip(z.ToArray()).Count(v => v.First != v.Second) <= expected.Length / 100, what);
        if (least is float low)
            Assert.All(y.ToArray(), v => Assert.True(v >= low, what));
    }
}
