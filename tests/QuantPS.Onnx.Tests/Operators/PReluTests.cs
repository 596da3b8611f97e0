using QuantPS.Engine.Configuration;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Quantization;
using QuantPS.Onnx.Runtime;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Tests.Operators;

/// <summary>PRelu's tables, one for all or one per channel, against ONNX Runtime.</summary>
public class PReluTests
{
    private static readonly float[] Slopes = [0.25f, -0.6f, 1.75f];

    public static TheoryData<string, DataType> Shapes
    {
        get
        {
            TheoryData<string, DataType> cases = [];
            foreach (string shape in (string[])["3,1,1", "1,3,1,1", "", "1", "1,1,1"])
            {
                cases.Add(shape, DataType.Uint8);
                cases.Add(shape, DataType.Int8);
            }
            return cases;
        }
    }

    /// <summary>A file's pairs around it are one layer. Every integer of every channel becomes what ONNX Runtime makes of it.</summary>
    [Theory]
    [MemberData(nameof(Shapes))]
    public void EveryIntegerIsOnnxRuntimes(string shape, DataType type)
    {
        int[] dims = Dims(shape);
        float[] values = dims.Contains(3) ? Slopes : [-1.3f];
        Check([Nodes.Create("PRelu", "p", ["h", "slope"], ["f"])], [TensorProtos.Create("slope", values, dims)], type);
    }

    /// <summary>Other tools quantize the slope as well.</summary>
    [Fact]
    public void SlopesMayComeQuantized() => Check(
        [Nodes.Create("DequantizeLinear", "ds", ["integers", "step"], ["slope"]), Nodes.Create("PRelu", "p", ["h", "slope"], ["f"])],
        [OneNode.Integers(DataType.Int8, [3, 1, 1], 20, -70, 127).Typed!.ToProto("integers"), TensorProtos.Create("step", [0.011f], [])], DataType.Uint8);

    /// <summary>Behind convolutions, channels-last, in both forms and as quantized here. The value before PRelu has its own range, and no channel of it is scaled.</summary>
    [Theory]
    [InlineData("x86", true)]
    [InlineData("x86", false)]
    [InlineData("onnxruntime", true)]
    [InlineData("onnxruntime_s8s8", true)]
    public void NetworksAreOnnxRuntimes(string preset, bool perChannel)
    {
        OnnxModel model = TestModels.Graph(["N", 3, 12, 11],
            [
                Nodes.Create("Conv", "c1", ["x", "w1"], ["a"]), Nodes.Create("PRelu", "p1", ["a", "s1"], ["b"]),
                Nodes.Create("Conv", "c2", ["b", "w2"], ["c"], Nodes.Attribute("group", 20L), Nodes.Attribute("pads", [1, 1, 1, 1])), Nodes.Create("Conv", "c3", ["c", "w3"], ["d"]),
                Nodes.Create("Add", "sum", ["d", "b"], ["e"]), Nodes.Create("PRelu", "p2", ["e", "s2"], ["y"]),
            ],
            [
                TestModels.Weight("w1", 1, 20, 3, 3, 3), TestModels.Weight("w2", 2, 20, 1, 3, 3), TestModels.Weight("w3", 3, 20, 20, 1, 1),
                perChannel ? TestModels.Weight("s1", 4, 20, 1, 1) : TensorProtos.Create("s1", [0.3f], [1]), perChannel ? TestModels.Weight("s2", 5, 1, 20, 1, 1) : TensorProtos.Create("s2", [-0.2f], []),
            ], ["y"]);
        Tensor x = TestModels.Random(6, 3, 3, 12, 11);
        QuantizedGraph graph = Quantize(model, preset, x);
        Assert.Equal(["Conv", "PRelu", "Conv", "Conv", "Add", "PRelu"], graph.Nodes.Select(n => n.OpType));
        Assert.Empty(graph.FloatNodes);
        Assert.NotEqual(graph.QParamsOf("a"), graph.QParamsOf("b"));
        using OnnxRuntimeSession real = new(model);
        float[] exact = real.Run(x)["y"].ToArray();
        foreach (OnnxModel file in (OnnxModel[])[QdqExporter.Export(graph).Model, QOperatorExporter.Export(graph).Model])
        {
            Assert.Equal(2, file.Proto.Graph.Initializer.Count(t => t.Name is "s1" or "s2" && t.Type() == DataType.Float));
            using OnnxRuntimeSession session = new(file);
            using ModelPlan plan = new(file);
            Assert.Equal(0, plan.FloatIslandCount);
            float[] theirs = session.Run(x)["y"].ToArray();
            Assert.Equal(theirs, ((Tensor)plan.Run(x)["y"]).ToArray());
            Assert.All(exact.Zip(theirs), v => Assert.Equal(v.First, v.Second, 0.05f * (exact.Max() - exact.Min())));
        }
        using Int8Plan ours = new(graph);
        Assert.All(exact.Zip(ours.Run(x).Outputs["y"].ToArray()), v => Assert.Equal(v.First, v.Second, 0.05f * (exact.Max() - exact.Min())));
    }

    [Theory]
    [InlineData("20,10,9", "its slope of shape [20, 10, 9] is not one value per channel")]
    [InlineData("1,9", "its slope of shape [1, 9] is not one value per channel")]
    [InlineData("9", "its slope of shape [9] is not one value per channel")]
    [InlineData(null, "its slope is computed, not a constant")]
    public void OtherSlopesStayFloat(string? shape, string reason)
    {
        NodeProto[] before = shape is null ? [Nodes.Create("ReduceMean", "m", ["x"], ["s"])] : [];
        TensorProto[] slope = shape is null ? [] : [TestModels.Weight("s", 2, Dims(shape))];
        OnnxModel model = TestModels.Graph([1, 3, 12, 11], [.. before, Nodes.Create("Conv", "c", ["x", "w"], ["a"]), Nodes.Create("PRelu", "p", ["a", "s"], ["y"])],
            [TestModels.Weight("w", 1, 20, 3, 3, 3), .. slope], ["y"]);
        Tensor x = TestModels.Random(6, 1, 3, 12, 11);
        QuantizedGraph graph = Quantize(model, "x86", x);
        Assert.Equal(reason, graph.FloatNodes.Single(n => n.Name == "p").Reason);
        OnnxModel file = QdqExporter.Export(graph).Model;
        using OnnxRuntimeSession session = new(file);
        using ModelPlan plan = new(file);
        Assert.Equal(session.Run(x)["y"].ToArray(), ((Tensor)plan.Run(x)["y"]).ToArray());
    }

    private static void Check(NodeProto[] nodes, TensorProto[] constants, DataType type)
    {
        int zero = type == DataType.Uint8 ? 120 : -8, least = type == DataType.Uint8 ? 0 : -128;
        OnnxModel model = TestModels.Graph(["N", 3, 16, 16],
            [
                Nodes.Create("QuantizeLinear", "q", ["x", "s", "z"], ["q"]), Nodes.Create("DequantizeLinear", "d", ["q", "s", "z"], ["h"]), .. nodes,
                Nodes.Create("QuantizeLinear", "q2", ["f", "t", "z"], ["r"]), Nodes.Create("DequantizeLinear", "d2", ["r", "t", "z"], ["y"]),
            ],
            [.. constants, TensorProtos.Create("s", [0.037f], []), TensorProtos.Create("t", [0.029f], []), OneNode.Integers(type, [], zero).Typed!.ToProto("z")], ["y"]);
        using ModelPlan plan = new(model);
        PlanLayer layer = plan.Layers.Single(l => l.OpType == "PRelu");
        Assert.True(layer.IsInteger);
        Assert.Equal("integers", layer.Kernel());
        Assert.Equal(0, plan.FloatIslandCount);
        Tensor x = new([2, 3, 16, 16], Enumerable.Range(0, 2 * 3 * 256).Select(i => (i * 7 % 256 + least - zero) * 0.037f).ToArray());
        using OnnxRuntimeSession session = new(model, settings: new SessionSettings { Optimize = false });
        float[] expected = session.Run(x)["y"].ToArray();
        Assert.True(expected.Distinct().Count() > 100);
        Assert.Equal(expected, ((Tensor)plan.Run(x)["y"]).ToArray());
    }

    private static int[] Dims(string shape) => [.. shape.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(int.Parse)];

    private static QuantizedGraph Quantize(OnnxModel model, string preset, Tensor x)
    {
        using Calibrator calibrator = new(model, QConfigPresets.Get(preset));
        calibrator.Observe(x);
        return ModelQuantizer.Quantize(calibrator.Finish());
    }
}
