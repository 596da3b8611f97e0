using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Runtime;
using QuantPS.Onnx.Runtime.Fusion;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Tests.Runtime.Fusion;

/// <summary>Resize and Pad between DequantizeLinear and QuantizeLinear: a layer each, and bit for bit what ONNX Runtime makes of the file, with its optimizations and without.</summary>
public class ImageTests
{
    public static TheoryData<string, bool, DataType> Resizes => [.. from mode in (string[])["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]
        from sizes in (bool[])[false, true] from type in (DataType[])[DataType.Uint8, DataType.Int8] select (mode, sizes, type)];

    /// <summary>Up, down, one of both, to a single pixel, and not at all.</summary>
    [Theory, MemberData(nameof(Resizes))]
    public void LinearResizeIsALayer(string mode, bool bySizes, DataType type)
    {
        Random random = new(81);
        (int H, int W)[] wanted = [(14, 18), (3, 5), (21, 4), (1, 1), (7, 9), (7, 11), (13, 1)];
        for (int i = 0; i < wanted.Length * 3; i++)
        {
            (int h, int w) = wanted[i % wanted.Length];
            bool own = i % 3 == 0;
            TensorProto to = bySizes ? TensorProtos.Create("to", new long[] { 2, 5, h, w }, [4]) : TensorProtos.Create("to", [1f, 1f, (h + 0.3f * (i % 2)) / 7, (w + 0.4f * (i % 2)) / 9], [4]);
            NodeProto node = Nodes.Create("Resize", "op", bySizes ? ["h", "", "", "to"] : ["h", "", "to"], ["r"], Nodes.Attribute("mode", "linear"), Nodes.Attribute("coordinate_transformation_mode", mode));
            Check(node, [to], type, random, own, TestModels.Random(i, 2, 5, 7, 9));
        }
    }

    /// <summary>Before operator set 11: no modes, the scales behind the input.</summary>
    [Fact]
    public void LinearResizeOfOperatorSet10() =>
        Check(Nodes.Create("Resize", "op", ["h", "to"], ["r"], Nodes.Attribute("mode", "linear")), [TensorProtos.Create("to", [1f, 1f, 2f, 1.5f], [4])], DataType.Uint8, new Random(82), false,
            TestModels.Random(5, 1, 12, 6, 8), opset: 10);

    /// <summary>What is left to ONNX Runtime: sizes that are computed, channels behind, regions, antialiasing.</summary>
    [Theory]
    [InlineData("computed")]
    [InlineData("channels")]
    [InlineData("symmetric")]
    [InlineData("antialias")]
    public void OtherLinearResizesAreIslands(string why)
    {
        List<AttributeProto> attributes = [Nodes.Attribute("mode", "linear")];
        if (why == "symmetric")
            attributes.Add(Nodes.Attribute("coordinate_transformation_mode", "half_pixel_symmetric"));
        if (why == "antialias")
            attributes.Add(Nodes.Attribute("antialias", 1L));
        float[] scales = why == "channels" ? [1f, 2f, 2f, 1f] : [1f, 1f, 0.5f, 0.5f];
        TensorProto to = TensorProtos.Create("to", scales, [4]);
        NodeProto node = Nodes.Create("Resize", "op", ["h", "", why == "computed" ? "same" : "to"], ["r"], [.. attributes]);
        NodeProto[] before = why == "computed" ? [Nodes.Create("Identity", "i", ["given"], ["same"])] : [];
        OnnxModel model = Model([.. before, node], [to], DataType.Uint8, new Random(83), false, 19, why == "computed");
        using ModelPlan plan = new(model);
        Assert.Equal(1, plan.FloatIslandCount);
    }

    public static TheoryData<string, long[], long[]?, float?, int> Pads => new()
    {
        { "constant", [0, 0, 0, 0, 0, 11, 0, 0], null, null, 1 },
        { "constant", [0, 3, 0, 0, 0, 30, 0, 0], null, 0f, 1 },
        { "constant", [0, 0, 1, 2, 0, 0, 3, 1], null, null, 1 },
        { "constant", [1, 2, 1, 0, 0, 1, 3, 4], null, 0f, 1 },
        { "constant", [1, 4, 0, 2], [-1, 2], null, 1 },
        { "reflect", [0, 0, 1, 2, 0, 0, 3, 1], null, null, 1 },
        { "edge", [0, 2, 1, 2, 1, 0, 3, 1], null, null, 1 },
        { "wrap", [0, 2, 1, 2, 0, 0, 3, 1], null, null, 0 },
        { "constant", [0, 0, 0, -1, 0, 0, 1, 0], null, null, 0 },
        { "constant", [0, 0, 0, 1, 0, 0, 1, 0], null, 0.123f, 0 },
    };

    /// <summary>Also where the result has parameters of its own. A value that is no integer of the input's, a negative margin and what repeats the image are left to ONNX Runtime.</summary>
    [Theory, MemberData(nameof(Pads))]
    public void PadIsALayer(string mode, long[] pads, long[]? axes, float? value, int layers)
    {
        foreach (DataType type in (DataType[])[DataType.Uint8, DataType.Int8])
        {
            foreach (bool own in (bool[])[false, true])
            {
                List<TensorProto> constants = [TensorProtos.Create("pads", pads, [pads.Length])];
                if (axes is not null)
                    constants.Add(TensorProtos.Create("axes", axes, [axes.Length]));
                if (value is float v)
                    constants.Add(TensorProtos.Create("v", [v], []));
                string[] inputs = axes is not null ? ["h", "pads", value is null ? "" : "v", "axes"] : value is not null ? ["h", "pads", "v"] : ["h", "pads"];
                Check(Nodes.Create("Pad", "op", inputs, ["r"], Nodes.Attribute("mode", mode)), constants, type, new Random(84), own, TestModels.Random(7, 2, 5, 7, 9), 19, layers == 1);
            }
        }
    }

    private static void Check(NodeProto node, IEnumerable<TensorProto> constants, DataType type, Random random, bool own, Tensor x, int opset = 19, bool isLayer = true)
    {
        OnnxModel model = Model([node], constants, type, random, own, opset);
        using ModelPlan plan = new(model);
        Assert.Equal(isLayer ? (0, 1) : (1, 0), (plan.FloatIslandCount, plan.Steps.OfType<UnitStep>().Count()));
        float[] actual = ((Tensor)plan.Run(x)["y"]).ToArray();
        foreach (bool optimize in (bool[])[false, true])
        {
            using OnnxRuntimeSession session = new(model, settings: new SessionSettings { Optimize = optimize });
            Tensor expected = session.Run(x)["y"];
            Assert.Equal(expected.Shape, ((Tensor)plan.Run(x)["y"]).Shape);
            Assert.Equal(expected.ToArray(), actual);
        }
    }

    private static OnnxModel Model(IEnumerable<NodeProto> nodes, IEnumerable<TensorProto> constants, DataType type, Random random, bool own, int opset, bool given = false)
    {
        int least = type == DataType.Int8 ? -128 : 0;
        float scale = 0.011f + random.NextSingle() * 0.01f;
        GraphProto graph = new() { Name = "image" };
        graph.Node.AddRange([Nodes.Create("QuantizeLinear", "q", ["x", "s", "z"], ["q"]), Nodes.Create("DequantizeLinear", "d", ["q", "s", "z"], ["h"]), .. nodes,
            Nodes.Create("QuantizeLinear", "q2", own ? ["r", "t", "u"] : ["r", "s", "z"], ["k"]), Nodes.Create("DequantizeLinear", "d2", own ? ["k", "t", "u"] : ["k", "s", "z"], ["y"])]);
        graph.Initializer.AddRange([.. constants, TensorProtos.Create("s", [scale], []), OneNode.Integers(type, [], least + random.Next(100, 150)).Typed!.ToProto("z"),
            TensorProtos.Create("t", [scale * 1.3f], []), OneNode.Integers(type, [], least + random.Next(100, 150)).Typed!.ToProto("u")]);
        graph.Input.Add(Nodes.Value("x", DataType.Float, "N", 5, "H", "W"));
        if (opset < 11)
            graph.Input[0] = Nodes.Value("x", DataType.Float, "N", 12, "H", "W");
        if (given)
            graph.Input.Add(Nodes.Value("given", DataType.Float, 4));
        graph.Output.Add(Nodes.Value("y", DataType.Float, "N2", "C2", "H2", "W2"));
        ModelProto proto = new() { IrVersion = 8, Graph = graph };
        proto.OpsetImport.Add(new OperatorSetIdProto { Version = opset });
        return OnnxModel.FromProto(proto, "image");
    }
}
