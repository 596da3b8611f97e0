using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Runtime;
using QuantPS.Onnx.Runtime.Fusion;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Tests.Runtime.Fusion;

/// <summary>Means between DequantizeLinear and QuantizeLinear are bit for bit what ONNX Runtime makes of the file, also where they lie between two steps: it sums the
/// windows of an average pool in float32, but whole images as integers.</summary>
public class AverageTests
{
    public static TheoryData<string, bool, DataType> Cases => [.. from what in (string[])["whole", "2x2", "3x3", "3x3 counted", "5x4", "line"]
        from own in (bool[])[false, true] from type in (DataType[])[DataType.Uint8, DataType.Int8] select (what, own, type)];

    [Theory, MemberData(nameof(Cases))]
    public void MeansAreOnnxRuntimes(string what, bool own, DataType type)
    {
        Random random = new(85);
        // Channels for the vectors' tail, and few of them for single values.
        foreach ((int channels, int h, int w) in ((int, int, int)[])[(40, 2, 2), (96, 9, 16), (70, 8, 8), (40, 5, 4), (3, 7, 7), (33, 1, 12)])
        {
            if (what == "5x4" && h < 5 || what is "2x2" && h < 2)
                continue;
            NodeProto node = what == "whole" ? Nodes.Create("GlobalAveragePool", "op", ["h"], ["r"]) : Nodes.Create("AveragePool", "op", ["h"], ["r"], [.. Window(what)]);
            OnnxModel model = Model(node, type, own, channels, random);
            using ModelPlan plan = new(model);
            Assert.Equal((0, 1), (plan.FloatIslandCount, plan.Steps.OfType<UnitStep>().Count()));
            using OnnxRuntimeSession session = new(model, settings: new SessionSettings());
            for (int run = 0; run < 5; run++)
            {
                Tensor x = TestModels.Random(run, 2, channels, h, w);
                Assert.Equal(session.Run(x)["y"].ToArray(), ((Tensor)plan.Run(x)["y"]).ToArray());
            }
        }
    }

    private static AttributeProto[] Window(string what) => what switch
    {
        "2x2" => [Nodes.Attribute("kernel_shape", [2, 2]), Nodes.Attribute("strides", [2, 2])],
        "3x3" => [Nodes.Attribute("kernel_shape", [3, 3]), Nodes.Attribute("pads", [1, 1, 1, 1]), Nodes.Attribute("strides", [2, 2])],
        "3x3 counted" => [Nodes.Attribute("kernel_shape", [3, 3]), Nodes.Attribute("pads", [1, 1, 1, 1]), Nodes.Attribute("count_include_pad", 1L)],
        "5x4" => [Nodes.Attribute("kernel_shape", [5, 4]), Nodes.Attribute("strides", [1, 3])],
        _ => [Nodes.Attribute("kernel_shape", [1, 2]), Nodes.Attribute("strides", [1, 2])],
    };

    private static OnnxModel Model(NodeProto node, DataType type, bool own, int channels, Random random)
    {
        int least = type == DataType.Int8 ? -128 : 0;
        float scale = 0.011f + random.NextSingle() * 0.01f;
        GraphProto graph = new() { Name = "mean" };
        graph.Node.AddRange([Nodes.Create("QuantizeLinear", "q", ["x", "s", "z"], ["q"]), Nodes.Create("DequantizeLinear", "d", ["q", "s", "z"], ["h"]), node,
            Nodes.Create("QuantizeLinear", "q2", own ? ["r", "t", "u"] : ["r", "s", "z"], ["k"]), Nodes.Create("DequantizeLinear", "d2", own ? ["k", "t", "u"] : ["k", "s", "z"], ["y"])]);
        graph.Initializer.AddRange([TensorProtos.Create("s", [scale], []), OneNode.Integers(type, [], least + random.Next(100, 150)).Typed!.ToProto("z"),
            TensorProtos.Create("t", [scale * 0.4f], []), OneNode.Integers(type, [], least + random.Next(100, 150)).Typed!.ToProto("u")]);
        graph.Input.Add(Nodes.Value("x", DataType.Float, "N", channels, "H", "W"));
        graph.Output.Add(Nodes.Value("y", DataType.Float, "N", channels, "H2", "W2"));
        ModelProto proto = new() { IrVersion = 8, Graph = graph };
        proto.OpsetImport.Add(new OperatorSetIdProto { Version = 13 });
        return OnnxModel.FromProto(proto, "mean");
    }
}
