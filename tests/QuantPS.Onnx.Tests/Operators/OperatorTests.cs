using QuantPS.Engine.Configuration;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Quantization;
using QuantPS.Onnx.Runtime;

namespace QuantPS.Onnx.Tests.Operators;

/// <summary>Each operator's int8 form behind a convolution, against the float operator on the same (dequantized) values.</summary>
public class OperatorTests
{
    private static readonly TensorProto[] Constants =
    [
        TestModels.Weight("w", 1, 4, 3, 3, 3), TensorProtos.Create("low", [-0.4f], []), TensorProtos.Create("high", [0.6f], []),
        TensorProtos.Create("shape", new long[] { 0, -1, 8 }, [3]),
    ];

    public static TheoryData<string, string, bool> Cases
    {
        get
        {
            TheoryData<string, string, bool> cases = [];
            foreach (string op in (string[])["Relu", "Clip", "HardSwish", "HardSigmoid", "Sigmoid", "Add", "GlobalAveragePool", "MaxPool", "MaxPoolCeil", "MaxPoolSame", "AveragePool", "AveragePoolWhole", "Mul", "Concat", "ConcatRows", "Flatten", "FlattenLast", "Reshape"])
            {
                cases.Add(op, "x86", false);
                cases.Add(op, "qnnpack", true);
                cases.Add(op, "onnxruntime", false);
            }
            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Int8FormMatchesFloatOnTheSameValues(string op, string preset, bool signed)
    {
        QConfig config = QConfigPresets.Get(preset);
        config = config with { Activation = config.Activation with { DType = signed ? QDType.QInt8 : QDType.QUInt8 } };
        NodeProto node = NodeOf(op);
        // A second consumer keeps Relu and Clip from becoming part of the convolution.
        OnnxModel model = TestModels.Graph(["N", 3, 8, 8], [Nodes.Create("Conv", "c", ["x", "w"], ["h"], Nodes.Attribute("pads", [1, 1, 1, 1])), node, Nodes.Create("Neg", "n", ["h"], ["other"])], Constants, ["y", "other"]);
        Tensor x = TestModels.Random(5, 2, 3, 8, 8);
        QuantizedGraph graph = Quantize(model, config, x);
        Assert.True(graph.Nodes.Single(n => n.Name == op).IsQuantized);
        using Int8Plan plan = new(graph);
        PlanResult result = plan.Run(x, new HashSet<string> { "h", "y" });
        Assert.Equal(result.CapturedIntegers["y"].Dequantize().ToArray(), result.Outputs["y"].ToArray());

        OnnxModel alone = TestModels.Graph(["N", 4, 8, 8], [node], Constants, ["y"], input: "h");
        using OnnxRuntimeSession session = new(alone);
        Tensor expected = session.Run(new Dictionary<string, Tensor> { ["h"] = result.Captured["h"] })["y"];
        Assert.Equal(expected.Shape, result.Outputs["y"].Shape);
        QParams p = graph.QParamsOf("y")!;
        // Half a step of rounding; values outside the observed range saturate.
        (int min, int max) = p.DType.Range();
        float low = p.Scales[0] * (min - p.ZeroPoints[0]), high = p.Scales[0] * (max - p.ZeroPoints[0]);
        Assert.All(expected.ToArray().Zip(result.Outputs["y"].ToArray()), v => Assert.Equal(Math.Clamp(v.First, low, high), v.Second, 0.5001f * p.Scales[0] + 1e-6f));
    }

    [Theory]
    // ONNX Runtime runs no dilated convolution with automatic padding, so there is nothing to compare that with.
    [InlineData("SAME_UPPER", 1, 3)]
    [InlineData("SAME_LOWER", 1, 4)]
    [InlineData("SAME_UPPER", 2, 3)]
    [InlineData("SAME_LOWER", 2, 4)]
    [InlineData("VALID", 2, 3)]
    public void AutomaticPaddingOfConvolutions(string mode, int stride, int kernel)
    {
        OnnxModel model = TestModels.Graph(["N", 3, 9, 10],
            [Nodes.Create("Conv", "c", ["x", "k"], ["y"], Nodes.Attribute("auto_pad", mode), Nodes.Attribute("strides", [stride, stride]))],
            [TestModels.Weight("k", 1, 4, 3, kernel, kernel)], ["y"]);
        AssertCloseToFloat(model, TestModels.Random(5, 2, 3, 9, 10));
    }

    [Fact]
    public void PaddingThatDependsOnAnOpenSizeStaysFloat()
    {
        OnnxModel model = TestModels.Graph(["N", 3, "H", "W"],
            [Nodes.Create("Conv", "c", ["x", "w"], ["h"]), Nodes.Create("Conv", "d", ["h", "k"], ["y"], Nodes.Attribute("auto_pad", "SAME_UPPER"), Nodes.Attribute("strides", [2, 2]))],
            [Constants[0], TestModels.Weight("k", 1, 4, 4, 3, 3)], ["y"]);
        QuantizedNode d = Assert.Single(AssertCloseToFloat(model, TestModels.Random(5, 2, 3, 9, 10)).FloatNodes);
        Assert.Equal("d", d.Name);
        Assert.Contains("SAME_UPPER", d.Reason);
    }

    [Fact]
    public void ConvolutionsInOneAndThreeDimensions()
    {
        AssertCloseToFloat(TestModels.Graph(["N", 3, 20], [Nodes.Create("Conv", "c", ["x", "k"], ["y"], Nodes.Attribute("group", 3L))], [TestModels.Weight("k", 1, 6, 1, 5)], ["y"]), TestModels.Random(5, 2, 3, 20));
        AssertCloseToFloat(TestModels.Graph(["N", 2, 5, 6, 7], [Nodes.Create("Conv", "c", ["x", "k"], ["y"], Nodes.Attribute("pads", [1, 0, 2, 0, 1, 0]))], [TestModels.Weight("k", 1, 4, 2, 3, 2, 3)], ["y"]), TestModels.Random(5, 2, 2, 5, 6, 7));
    }

    /// <summary>The factors go into the constants; a summand that is computed is in the way of its factor.</summary>
    [Theory]
    [InlineData("alpha", 2f, "b", null)]
    [InlineData("beta", 0.5f, "b", null)]
    [InlineData("beta", 0.5f, "h2", "alpha or beta")]
    public void ScaledGemm(string attribute, float value, string summand, string? reason)
    {
        OnnxModel model = TestModels.Graph(["N", 6],
            [
                Nodes.Create("MatMul", "m", ["x", "v"], ["h"]), Nodes.Create("MatMul", "m2", ["x", "v2"], ["h2"]),
                Nodes.Create("Gemm", "g", ["h", "u", summand], ["y"], Nodes.Attribute(attribute, value)),
            ],
            [TestModels.Weight("v", 1, 6, 5), TestModels.Weight("v2", 4, 6, 4), TestModels.Weight("u", 2, 5, 4), TestModels.Weight("b", 3, 4)], ["y", "h2"]);
        IReadOnlyList<QuantizedNode> left = [.. AssertCloseToFloat(model, TestModels.Random(5, 9, 6)).FloatNodes];
        if (reason is null)
            Assert.Empty(left);
        else
            Assert.Contains(reason, Assert.Single(left).Reason);
    }

    /// <summary>MatMul over leading dimensions, and a Gemm whose bias is a single value.</summary>
    [Fact]
    public void MatricesOfOtherShapes()
    {
        AssertCloseToFloat(TestModels.Graph(["N", 3, 6], [Nodes.Create("MatMul", "m", ["x", "v"], ["y"])], [TestModels.Weight("v", 1, 6, 5)], ["y"]), TestModels.Random(5, 2, 3, 6));
        AssertCloseToFloat(TestModels.Graph(["N", 6], [Nodes.Create("Gemm", "g", ["x", "u", "b"], ["y"], Nodes.Attribute("transB", 1L))], [TestModels.Weight("u", 2, 4, 6), TensorProtos.Create("b", [0.5f], [])], ["y"]), TestModels.Random(5, 9, 6));
    }

    private static NodeProto NodeOf(string op) => op switch
    {
        "Clip" => Nodes.Create("Clip", op, ["h", "low", "high"], ["y"]),
        "Add" => Nodes.Create("Add", op, ["h", "h"], ["y"]),
        "MaxPool" => Nodes.Create("MaxPool", op, ["h"], ["y"], Nodes.Attribute("kernel_shape", [3, 2]), Nodes.Attribute("strides", [2, 1]), Nodes.Attribute("pads", [1, 0, 1, 1])),
        "MaxPoolCeil" => Nodes.Create("MaxPool", op, ["h"], ["y"], Nodes.Attribute("kernel_shape", [3, 3]), Nodes.Attribute("strides", [2, 2]), Nodes.Attribute("ceil_mode", 1L)),
        "MaxPoolSame" => Nodes.Create("MaxPool", op, ["h"], ["y"], Nodes.Attribute("kernel_shape", [2, 2]), Nodes.Attribute("strides", [3, 3]), Nodes.Attribute("auto_pad", "SAME_UPPER")),
        "AveragePool" => Nodes.Create("AveragePool", op, ["h"], ["y"], Nodes.Attribute("kernel_shape", [3, 2]), Nodes.Attribute("strides", [2, 1]), Nodes.Attribute("pads", [1, 0, 2, 1])),
        "AveragePoolWhole" => Nodes.Create("AveragePool", op, ["h"], ["y"], Nodes.Attribute("kernel_shape", [3, 3]), Nodes.Attribute("strides", [2, 2]), Nodes.Attribute("pads", [0, 1, 2, 0]),
            Nodes.Attribute("count_include_pad", 1L)),
        "Mul" => Nodes.Create("Mul", op, ["h", "h"], ["y"]),
        "Concat" => Nodes.Create("Concat", op, ["h", "h"], ["y"], Nodes.Attribute("axis", 1L)),
        "ConcatRows" => Nodes.Create("Concat", op, ["h", "h", "h"], ["y"], Nodes.Attribute("axis", 2L)),
        "FlattenLast" => Nodes.Create("Flatten", op, ["h"], ["y"], Nodes.Attribute("axis", -1L)),
        "Reshape" => Nodes.Create("Reshape", op, ["h", "shape"], ["y"]),
        _ => Nodes.Create(op, op, ["h"], ["y"]),
    };

    private static QuantizedGraph Quantize(OnnxModel model, QConfig config, Tensor x)
    {
        using Calibrator calibrator = new(model, config);
        calibrator.Observe(x);
        return ModelQuantizer.Quantize(calibrator.Finish());
    }

    private static QuantizedGraph AssertCloseToFloat(OnnxModel model, Tensor x)
    {
        QuantizedGraph graph = Quantize(model, Workflow.MinMaxPerChannel, x);
        using Int8Plan plan = new(graph);
        using OnnxRuntimeSession session = new(model);
        Tensor expected = session.Run(x)["y"], y = plan.Run(x).Outputs["y"];
        Assert.Equal(expected.Shape, y.Shape);
        float range = expected.Max() - expected.Min();
        Assert.All(expected.ToArray().Zip(y.ToArray()), v => Assert.Equal(v.First, v.Second, 0.04f * range));
        return graph;
    }
}
