using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Passes;
using QuantPS.Onnx.Quantization;
using QuantPS.Onnx.Runtime;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Tests.Quantization;

/// <summary>quantize_dynamic: weights quantized once, activations anew for every run.</summary>
public class DynamicQuantizerTests
{
    private static readonly TensorProto[] Weights =
    [
        TestModels.Weight("w", 1, 6, 5), TestModels.Weight("v", 2, 4, 6), TestModels.Weight("b", 3, 4), TestModels.Weight("k", 4, 4, 3, 3, 3), TestModels.Weight("kb", 5, 4),
        TestModels.Weight("table", 6, 20, 6), TestModels.Weight("b5", 7, 5),
    ];

    public static TheoryData<bool, QDType> Kinds => new() { { false, QDType.QInt8 }, { true, QDType.QInt8 }, { false, QDType.QUInt8 }, { true, QDType.QUInt8 } };

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Products(bool perChannel, QDType type)
    {
        OnnxModel model = Graph(["N", 3, 6],
            [Nodes.Create("MatMul", "m", ["x", "w"], ["p"]), Nodes.Create("Add", "add", ["p", "b5"], ["q"]), Nodes.Create("MatMul", "m2", ["x", "w"], ["q2"]),
            Nodes.Create("Add", "sum", ["q", "q2"], ["y"])]);
        OnnxModel made = AssertClose(model, TestModels.Random(9, 2, 3, 6), new() { PerChannel = perChannel, WeightType = type });
        // The activation that both take is quantized once.
        Assert.Equal(1, Count(made, "DynamicQuantizeLinear"));
        Assert.Equal(2, Count(made, "MatMulInteger"));
        Assert.DoesNotContain(made.Proto.Graph.Initializer, t => t.Name == "w");
        Assert.Equal(perChannel ? 5 : 1, made.Proto.Graph.Initializer.First(t => t.Name == "w_scale").Count());
        Assert.Contains("DynamicQuantizeMatMul", Optimized(made));
    }

    [Fact]
    public void GemmConvolutionAndTable()
    {
        OnnxModel made = AssertClose(Graph(["N", 6], [Nodes.Create("Gemm", "g", ["x", "v", "b"], ["y"], Nodes.Attribute("transB", 1L))]), TestModels.Random(9, 5, 6));
        Assert.Equal(["DynamicQuantizeLinear", "Mul", "MatMulInteger", "Cast", "Mul", "Add"], made.Proto.Graph.Node.Select(n => n.OpType));
        made = AssertClose(Graph(["N", 3, 8, 8], [Nodes.Create("Conv", "c", ["x", "k", "kb"], ["y"], Nodes.Attribute("strides", [2, 1]), Nodes.Attribute("pads", [1, 0, 1, 2]))]), TestModels.Random(9, 2, 3, 8, 8));
        Assert.Equal(1, Count(made, "ConvInteger"));
        made = AssertClose(Graph(["N", 5], [Nodes.Create("Cast", "cast", ["x"], ["i"], Nodes.Attribute("to", 7L)), Nodes.Create("Gather", "pick", ["table", "i"], ["e"]), Nodes.Create("MatMul", "m", ["e", "w"], ["y"])]),
            new Tensor(new[] { 1, 5 }, new[] { 0f, 3f, 19f, 3f, 7f }));
        Assert.Equal(DataType.Int8, made.Proto.Graph.Initializer.Single(t => t.Name == "table_quantized").Type());
    }

    [Fact]
    public void ProductsOfActivationsAndNodesThatAreLeftOut()
    {
        OnnxModel model = Graph(["N", 6, 6], [Nodes.Create("MatMul", "m", ["x", "w"], ["p"]), Nodes.Create("Transpose", "t", ["p"], ["pt"], Nodes.Attribute("perm", [0, 2, 1])), Nodes.Create("MatMul", "mm", ["p", "pt"], ["y"])]);
        Assert.Equal(2, Count(AssertClose(model, TestModels.Random(9, 2, 6, 6)), "MatMulInteger"));
        Assert.Equal(1, Count(AssertClose(model, TestModels.Random(9, 2, 6, 6), new() { ConstantMatMulOnly = true }), "MatMulInteger"));
        Assert.Equal(1, Count(AssertClose(model, TestModels.Random(9, 2, 6, 6), new() { ExcludedNodes = ["m"] }), "MatMulInteger"));
        QuantException e = Assert.Throws<QuantException>(() => DynamicQuantizer.Quantize(model, new() { Nodes = ["mmm"] }));
        Assert.Equal(ErrorIds.LayerNotFound, e.ErrorId);
        Assert.Contains("nearest: mm", e.Message);
        Assert.Equal(ErrorIds.NothingToQuantize, Assert.Throws<QuantException>(() => DynamicQuantizer.Quantize(model, new() { OpTypes = ["Conv"] })).ErrorId);
        Assert.Equal(ErrorIds.UnsupportedDType, Assert.Throws<QuantException>(() => DynamicQuantizer.Quantize(model, new() { WeightType = QDType.QInt4 })).ErrorId);
    }

    /// <summary>Bodies of control flow: as they are without the option; with it their layers are integers, of weights in the body and outside of it.</summary>
    [Theory]
    [InlineData(1f)]
    [InlineData(-1f)]
    public void BodiesOfIf(float sign)
    {
        GraphProto Body(string name, TensorProto weight, params NodeProto[] nodes)
        {
            GraphProto body = new() { Name = name };
            body.Initializer.Add(weight);
            body.Node.AddRange(nodes);
            body.Output.Add(Nodes.Value(nodes[^1].Output[0], DataType.Float, [null, null]));
            return body;
        }

        NodeProto branch = Nodes.Create("If", "choose", ["c"], ["y"]);
        // Both branches have a weight of one name, which differ; one also takes a weight of the model, and what the model computes.
        branch.Attribute.Add(new AttributeProto
        {
            Name = "then_branch",
            Type = AttributeProto.Types.AttributeType.Graph,
            G = Body("then", TestModels.Weight("own", 20, 6, 5), Nodes.Create("MatMul", "t1", ["x", "own"], ["t"]), Nodes.Create("MatMul", "t2", ["x", "w"], ["u"]), Nodes.Create("Add", "ta", ["t", "u"], ["ty"])),
        });
        branch.Attribute.Add(new AttributeProto
        {
            Name = "else_branch",
            Type = AttributeProto.Types.AttributeType.Graph,
            G = Body("else", TestModels.Weight("own2", 21, 5, 5), Nodes.Create("MatMul", "e1", ["p", "own2"], ["ey"])),
        });
        NodeProto[] nodes = [Nodes.Create("MatMul", "m", ["x", "w"], ["p"]), Nodes.Create("ReduceSum", "sum", ["x"], ["s"], Nodes.Attribute("keepdims", 0L)), Nodes.Create("Greater", "positive", ["s", "zero"], ["c"]), branch];
        OnnxModel model = TestModels.Graph(["N", 6], nodes, [Weights[0], TensorProtos.Create("zero", [0f], [])], ["y"]);
        model.Proto.Graph.Output[0] = Nodes.Value("y", DataType.Float, [null, null]);
        Tensor x = TestModels.Random(9, 3, 6);
        foreach (ref float v in x.Span)
            v = sign * MathF.Abs(v);

        OnnxModel outside = AssertClose(model, x, new(), mayBeEqual: sign > 0);
        Assert.Equal(model.Proto.Graph.Node[3].ToString(), outside.Proto.Graph.Node.Single(n => n.OpType == "If").ToString());
        // In bodies ONNX Runtime's products saturate on processors without VNNI, but for weights of one bit less.
        OnnxModel inside = AssertClose(model, x, new() { Subgraphs = true, PerChannel = true, ReduceRange = true });
        NodeProto made = inside.Proto.Graph.Node.Single(n => n.OpType == "If");
        Assert.Equal([2, 1], made.Attribute.Select(a => a.G.Node.Count(n => n.OpType == "MatMulInteger")));
        // x is quantized in the branch that takes it; the weight outside is there once.
        Assert.Equal([1, 1], made.Attribute.Select(a => a.G.Node.Count(n => n.OpType == "DynamicQuantizeLinear")));
        Assert.Empty(made.Attribute.SelectMany(a => a.G.Initializer));
        Assert.Equal(3, inside.Proto.Graph.Initializer.Count(t => t.Type() == DataType.Int8 && t.Dims.Count == 2));
        Assert.DoesNotContain("MatMul", inside.Proto.Graph.Node.Select(n => n.OpType));
        OnnxModel partly = AssertClose(model, x, new() { Subgraphs = true, ExcludedNodes = ["e1", "m"] }, mayBeEqual: sign < 0);
        Assert.Equal([2, 0], partly.Proto.Graph.Node.Single(n => n.OpType == "If").Attribute.Select(a => a.G.Node.Count(n => n.OpType == "MatMulInteger")));
    }

    /// <summary>A whole network: nearly every class is the float network's.</summary>
    [Fact]
    public void NetworkAgreesWithFloat()
    {
        OnnxModel net = TestData.Network("fmnist-resnet8-bn"), made = DynamicQuantizer.Quantize(PassRegistry.Apply(net), new() { PerChannel = true });
        Assert.True(made.ToBytes().Length < 0.45 * net.ToBytes().Length);
        using OnnxRuntimeSession real = new(net), session = new(made);
        using ModelPlan plan = new(made);
        Tensor x = TestData.Batches(TestData.TestImages, 200).First();
        int[] expected = TestData.Top1(real.Run(x)["logits"]);
        Assert.InRange(Workflow.Agreement(expected, TestData.Top1(session.Run(x)["logits"])), 97, 100);
        Assert.InRange(Workflow.Agreement(expected, TestData.Top1((Tensor)plan.Run(x)["logits"])), 97, 100);
    }

    private static OnnxModel Graph(object?[] shape, NodeProto[] nodes)
    {
        HashSet<string> taken = [.. nodes.SelectMany(n => n.Input)];
        OnnxModel model = TestModels.Graph(shape, nodes, Weights.Where(w => taken.Contains(w.Name)), ["y"]);
        model.Proto.Graph.Output[0] = Nodes.Value("y", DataType.Float, new object?[ValueTypes.Infer(model)["y"]!.Rank]);
        return model;
    }

    /// <summary>Close to float in ONNX Runtime and in our runtime, without a warning, and to the checker's liking.</summary>
    private static OnnxModel AssertClose(OnnxModel model, Tensor x, QuantizeOptions? options = null, bool mayBeEqual = false)
    {
        OnnxModel made = DynamicQuantizer.Quantize(model, options);
        Assert.Equal("", StandardError.Of(() => new OnnxRuntimeSession(made, settings: new SessionSettings { Warnings = true }).Dispose()));
        using OnnxRuntimeSession real = new(model), session = new(made);
        using ModelPlan plan = new(made);
        float[] expected = real.Run(x)["y"].ToArray(), y = session.Run(x)["y"].ToArray(), ours = ((Tensor)plan.Run(x)["y"]).ToArray();
        float range = expected.Max() - expected.Min();
        Assert.All(expected.Zip(y), v => Assert.Equal(v.First, v.Second, 0.03f * range));
        Assert.All(y.Zip(ours), v => Assert.Equal(v.First, v.Second, 1e-4f * range));
        if (!mayBeEqual)
            Assert.NotEqual(expected, y);
        if (OnnxChecker.IsInstalled)
            OnnxChecker.Check(made);
        return made;
    }

    private static int Count(OnnxModel model, string op) => model.Proto.Graph.Node.Count(n => n.OpType == op);

    private static string[] Optimized(OnnxModel model)
    {
        using TempFile file = new();
        using (new OnnxRuntimeSession(model, settings: new SessionSettings { OptimizedModelPath = file.Path }))
            return [.. OnnxModel.Load(file.Path).Graph.Nodes.Select(n => n.OpType)];
    }
}
