using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Quantization;
using QuantPS.Onnx.Runtime;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Tests.Runtime;

public class ModelPlanTests
{
    /// <summary>A whole network in QDQ form, node by node, as ONNX Runtime does it when it may not fuse: bit for bit.</summary>
    [Theory]
    [InlineData("fmnist-resnet8-bn")]
    [InlineData("fmnist-mobile")]
    public void QdqNetwork(string network)
    {
        QConfig config = QConfigPresets.Get("onnxruntime");
        OnnxModel qdq = QdqExporter.Export(ModelQuantizer.Quantize(Workflow.Calibrate(TestData.Network(network), config, 32))).Model;
        Assert.True(ModelPlan.Suits(qdq));
        using ModelPlan plan = new(qdq, fuse: false);
        Assert.Equal(qdq.Graph.Nodes.Count(n => n.OpType is "QuantizeLinear" or "DequantizeLinear"), plan.IntegerNodeCount);
        using OnnxRuntimeSession session = new(qdq, settings: new SessionSettings { Optimize = false });
        Tensor batch = TestData.Batches(TestData.TestImages, 20).First();
        float[] expected = session.Run(batch)["logits"].ToArray(), y = ((Tensor)plan.Run(batch)["logits"]).ToArray();
        Assert.Equal(expected, y);

        var parallel = new float[4][];
        Parallel.For(0, 4, i => parallel[i] = ((Tensor)plan.Run(batch)["logits"]).ToArray());
        Assert.All(parallel, p => Assert.Equal(expected, p));
    }

    [Fact]
    public void FloatModelDoesNotSuit() => Assert.False(ModelPlan.Suits(TestData.Network("fmnist-resnet8")));

    /// <summary>Integers with the scale and zero point of the node that made them; int8 values pass through an island (Transpose) and are
    /// computed on.</summary>
    [Fact]
    public void QuantizedOutputsKeepTheirParameters()
    {
        OnnxModel model = Model(
            [
                Nodes.Create("QuantizeLinear", "q", ["x", "s", "z"], ["q"]),
                Nodes.Create("Transpose", "t", ["q"], ["t"]),
                Nodes.Create("MatMulInteger", "m", ["t", "q", "z", "z"], ["sums"]),
                Nodes.Create("DequantizeLinear", "d", ["t", "s", "z"], ["y"]),
                Nodes.Create("Shape", "shape", ["t"], ["size"]),
            ],
            DataType.Float, [TensorProtos.Create("s", [0.5f], []), OneNode.Integers(DataType.Int8, [], 3).Typed!.ToProto("z")],
            ("q", DataType.Int8), ("t", DataType.Int8), ("sums", DataType.Int32), ("y", DataType.Float), ("size", DataType.Int64));
        using ModelPlan plan = new(model);
        Tensor x = new([2, 2], new float[] { 1, 1.5f, -2, 100 }) { Source = "here" };
        IReadOnlyDictionary<string, object> outputs = plan.Run(x);

        QuantizedTensor q = Assert.IsType<QuantizedTensor>(outputs["q"]);
        Assert.Equal(new sbyte[] { 5, 6, -1, 127 }, q.IntRepr());
        Assert.Equal((0.5, 3, QDType.QInt8, "q", "here"), ((double)q.Scale, (int)q.ZeroPoint, q.DType, q.Name, q.Source));
        QuantizedTensor t = Assert.IsType<QuantizedTensor>(outputs["t"]);
        Assert.Equal(new sbyte[] { 5, -1, 6, 127 }, t.IntRepr());
        Assert.Equal((1.0, 0), ((double)t.Scale, (int)t.ZeroPoint));
        QuantizedTensor sums = Assert.IsType<QuantizedTensor>(outputs["sums"]);
        Assert.Equal(new[] { 4 + 16, 6 - 496, 6 - 496, 9 + 124 * 124 }, sums.IntRepr());
        Assert.Equal(QDType.QInt32, sums.DType);
        Assert.Equal([1, -2, 1.5f, 62], Assert.IsType<Tensor>(outputs["y"]).ToArray());
        Assert.Equal([2, 2], Assert.IsType<Tensor>(outputs["size"]).ToArray());

        using OnnxRuntimeSession session = new(model);
        IReadOnlyDictionary<string, object> theirs = session.RunAnyType(x, model);
        Assert.Equal(outputs.Keys, theirs.Keys);
        Assert.Equal(q.IntRepr(), ((QuantizedTensor)theirs["q"]).IntRepr());
        Assert.Equal(q.Scale, ((QuantizedTensor)theirs["q"]).Scale);
        Assert.Equal(sums.IntRepr(), ((QuantizedTensor)theirs["sums"]).IntRepr());
    }

    [Fact]
    public void PerAxisOutput()
    {
        OnnxModel model = Model([Nodes.Create("QuantizeLinear", "q", ["x", "s"], ["q"], Nodes.Attribute("axis", 1L))], DataType.Float,
            [TensorProtos.Create("s", [0.5f, 2], [2])], ("q", DataType.Uint8));
        using ModelPlan plan = new(model);
        QuantizedTensor q = Assert.IsType<QuantizedTensor>(plan.Run(new Tensor([1, 2], new float[] { 4, 8 }))["q"]);
        Assert.Equal(new byte[] { 8, 4 }, q.IntRepr());
        Assert.Equal((1, QScheme.PerChannelAffine), (q.Axis, q.Scheme));
        Assert.Equal([4, 8], q.Dequantize().ToArray());
    }

    [Fact]
    public void FourAndSixteenBitOutputs()
    {
        OnnxModel model = Model(
            [
                Nodes.Create("QuantizeLinear", "wide", ["x", "s", "z"], ["w"]),
                Nodes.Create("DequantizeLinear", "d", ["w", "s", "z"], ["back"]),
                Nodes.Create("QuantizeLinear", "narrow", ["back", "s", "n"], ["small"]),
                Nodes.Create("DequantizeLinear", "e", ["small", "s", "n"], ["y"]),
            ], DataType.Float,
            [TensorProtos.Create("s", [0.5f], []), OneNode.Integers(DataType.Uint16, [], 1000).Typed!.ToProto("z"),
                OneNode.Integers(DataType.Int4, [], -2).Typed!.ToProto("n")],
            ("w", DataType.Uint16), ("y", DataType.Float));
        using ModelPlan plan = new(model);
        IReadOnlyDictionary<string, object> outputs = plan.Run(new Tensor([1, 3], new float[] { 2, -1000, 40000 }));
        QuantizedTensor wide = Assert.IsType<QuantizedTensor>(outputs["w"]);
        Assert.Equal(new ushort[] { 1004, 0, 65535 }, wide.IntRepr());
        Assert.Equal((0.5, 1000), ((double)wide.Scale, (int)wide.ZeroPoint));
        Assert.Equal([2, -3, 4.5f], ((Tensor)outputs["y"]).ToArray());
    }

    /// <summary>Tensors at the prompt are float32; for an integer input they must hold integers of its type, in either runtime.</summary>
    [Theory]
    [InlineData(255f, true)]
    [InlineData(256f, false)]
    [InlineData(-1f, false)]
    [InlineData(0.5f, false)]
    public void IntegerInputs(float value, bool fits)
    {
        OnnxModel model = Model([Nodes.Create("DequantizeLinear", "d", ["x", "s"], ["y"])], DataType.Uint8,
            [TensorProtos.Create("s", [2f], [])], ("y", DataType.Float));
        using ModelPlan plan = new(model);
        using OnnxRuntimeSession session = new(model);
        Tensor x = new([1, 1], new[] { value });
        Func<IReadOnlyDictionary<string, object>>[] runtimes = [() => plan.Run(x), () => session.RunAnyType(x, model)];
        foreach (Func<IReadOnlyDictionary<string, object>> run in runtimes)
        {
            if (fits)
            {
                Assert.Equal(2 * value, ((Tensor)run()["y"]).Span[0]);
                continue;
            }
            QuantException e = Assert.Throws<QuantException>(() => run());
            Assert.Equal(ErrorIds.UnsupportedDType, e.ErrorId);
            Assert.Contains("0 to 255", e.Message);
        }
    }

    [Theory]
    [InlineData(16777216f, true)]
    [InlineData(16777217.0, false)]
    public void OtherTypesAreGivenOnlyWithoutLoss(double value, bool lossless)
    {
        OnnxModel model = Model(
            [
                Nodes.Create("DynamicQuantizeLinear", "q", ["x"], ["q", "s", "z"]),
                Nodes.Create("DequantizeLinear", "d", ["q", "s", "z"], ["h"]),
                Nodes.Create("Cast", "c", ["h"], ["wide"], Nodes.Attribute("to", (long)DataType.Int64)),
                Nodes.Create("Mul", "zero", ["wide", "none"], ["nothing"]),
                Nodes.Create("Add", "a", ["nothing", "big"], ["y"]),
            ], DataType.Float, [TensorProtos.Create("none", [0L], []), TensorProtos.Create("big", [(long)value], [])], ("y", DataType.Int64));
        using ModelPlan plan = new(model);
        Tensor x = new([1, 1], new[] { 1f });
        if (lossless)
            Assert.Equal((float)value, ((Tensor)plan.Run(x)["y"]).Span[0]);
        else
            Assert.Equal(ErrorIds.UnsupportedDType, Assert.Throws<QuantException>(() => plan.Run(x)).ErrorId);
    }

    /// <summary>Weights that are dequantized are so once, when the plan is made; the island has them as constants, which some operators
    /// insist on.</summary>
    [Fact]
    public void ConstantsAreComputedOnce()
    {
        OnnxModel model = Model(
            [Nodes.Create("DequantizeLinear", "d", ["w", "s"], ["dw"]), Nodes.Create("MatMul", "m", ["x", "dw"], ["y"])],
            DataType.Float, [OneNode.Integers(DataType.Int4, [2, 1], -8, 7).Typed!.ToProto("w"), TensorProtos.Create("s", [0.5f], [])],
            ("y", DataType.Float), ("dw", DataType.Float));
        using ModelPlan plan = new(model);
        Assert.Equal((1, 1), (plan.IntegerNodeCount, plan.FloatIslandCount));
        IReadOnlyDictionary<string, object> outputs = plan.Run(new Tensor([1, 2], new float[] { 1, 10 }));
        Assert.Equal([-4f + 35], ((Tensor)outputs["y"]).ToArray());
        Assert.Equal([-4f, 3.5f], ((Tensor)outputs["dw"]).ToArray());
    }

    /// <summary>What our operators do not take (here float16) is left to ONNX Runtime.</summary>
    [Fact]
    public void OtherTypesStayWithOnnxRuntime()
    {
        OnnxModel model = Model(
            [
                Nodes.Create("Cast", "half", ["x"], ["h"], Nodes.Attribute("to", (long)DataType.Float16)),
                Nodes.Create("Cast", "scale", ["s"], ["hs"], Nodes.Attribute("to", (long)DataType.Float16)),
                Nodes.Create("QuantizeLinear", "q", ["h", "hs", "z"], ["q"]),
                Nodes.Create("DequantizeLinear", "d", ["q", "s", "z"], ["y"]),
            ], DataType.Float, [TensorProtos.Create("s", [0.5f], []), OneNode.Integers(DataType.Uint8, [], 3).Typed!.ToProto("z")],
                ("y", DataType.Float));
        using ModelPlan plan = new(model);
        Assert.Equal((1, 1), (plan.IntegerNodeCount, plan.FloatIslandCount));
        Assert.Equal([1.5f], ((Tensor)plan.Run(new Tensor([1, 1], new[] { 1.4f }))["y"]).ToArray());
    }

    private static OnnxModel Model(NodeProto[] nodes, DataType input, TensorProto[] constants, params (string Name, DataType Type)[] outputs)
    {
        GraphProto graph = new() { Name = "test" };
        graph.Node.AddRange(nodes);
        graph.Input.Add(Nodes.Value("x", input, "N", "M"));
        graph.Initializer.AddRange(constants);
        graph.Output.AddRange(outputs.Select(o => new ValueInfoProto { Name = o.Name,
            Type = new() { TensorType = new() { ElemType = (int)o.Type } } }));
        ModelProto proto = new() { IrVersion = 10, Graph = graph };
        proto.OpsetImport.Add(new OperatorSetIdProto { Version = 21 });
        return OnnxModel.FromProto(proto, "test");
    }
}
