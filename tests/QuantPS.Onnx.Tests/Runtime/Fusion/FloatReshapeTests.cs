using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Runtime;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Tests.Runtime.Fusion;

/// <summary>A float input that is only given another shape before it is quantized is not ONNX Runtime's business; with anything else in between it is.</summary>
public class FloatReshapeTests
{
    public static TheoryData<string, bool> Cases => new()
    {
        { "Unsqueeze", true }, { "Squeeze", true }, { "Reshape", true }, { "Flatten", true }, { "Computed", false }, { "Sqrt", false },
    };

    [Theory, MemberData(nameof(Cases))]
    public void ShapesAreCopied(string what, bool own)
    {
        NodeProto[] nodes = what switch
        {
            "Unsqueeze" => [Nodes.Create("Unsqueeze", "op", ["x", "axes"], ["r"])],
            "Squeeze" => [Nodes.Create("Unsqueeze", "up", ["x", "axes"], ["u"]), Nodes.Create("Squeeze", "op", ["u", "axes"], ["r"])],
            "Reshape" => [Nodes.Create("Reshape", "op", ["x", "shape"], ["r"])],
            "Flatten" => [Nodes.Create("Flatten", "op", ["x"], ["r"], Nodes.Attribute("axis", 2L))],
            "Computed" => [Nodes.Create("Shape", "of", ["x"], ["sizes"]), Nodes.Create("Reshape", "op", ["x", "sizes"], ["r"])],
            _ => [Nodes.Create("Unsqueeze", "up", ["x", "axes"], ["u"]), Nodes.Create("Abs", "abs", ["u"], ["a"]), Nodes.Create("Sqrt", "op", ["a"], ["r"])],
        };
        GraphProto graph = new() { Name = "reshaped" };
        graph.Node.AddRange([.. nodes, Nodes.Create("QuantizeLinear", "q", ["r", "s", "z"], ["k"]), Nodes.Create("DequantizeLinear", "d", ["k", "s", "z"], ["y"])]);
        graph.Initializer.AddRange([TensorProtos.Create("axes", new long[] { 1 }, [1]), TensorProtos.Create("shape", new long[] { 0, -1, 2 }, [3]), TensorProtos.Create("s", [0.02f], []),
            OneNode.Integers(DataType.Uint8, [], 120).Typed!.ToProto("z")]);
        graph.Input.Add(Nodes.Value("x", DataType.Float, "N", 6, 5));
        graph.Output.Add(Nodes.Value("y", DataType.Float));
        graph.Output[0].Type.TensorType.Shape = null;
        ModelProto proto = new() { IrVersion = 8, Graph = graph };
        proto.OpsetImport.Add(new OperatorSetIdProto { Version = 13 });
        OnnxModel model = OnnxModel.FromProto(proto, "reshaped");
        using ModelPlan plan = new(model);
        Assert.Equal(own ? 0 : 1, plan.FloatIslandCount);
        Tensor x = TestModels.Random(1, 3, 6, 5), actual = (Tensor)plan.Run(x)["y"];
        using OnnxRuntimeSession session = new(model);
        Tensor expected = session.Run(x)["y"];
        Assert.Equal(expected.Shape, actual.Shape);
        Assert.Equal(expected.ToArray(), actual.ToArray());
    }
}
