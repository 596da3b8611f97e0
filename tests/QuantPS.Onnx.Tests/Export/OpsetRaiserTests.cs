using QuantPS.Engine.Configuration;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Quantization;
using QuantPS.Onnx.Tests.Passes;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Tests.Export;

/// <summary>A lifted model computes the same in ONNX Runtime as it did before.</summary>
public class OpsetRaiserTests
{
    private static readonly int[] Shape = [2, 3, 4, 6];

    private static TensorProto[] Constants =>
    [
        TensorProtos.Create("up", [1f, 1f, 2f, 3f], [4]), TensorProtos.Create("down", [1f, 1f, 0.5f, 0.4f], [4]), TensorProtos.Create("both", [1f, 1f, 0.5f, 2f], [4]),
        TensorProtos.Create("k", [2L], [1]), TensorProtos.Create("rois", [0f, 0f, 3f, 3f, 1f, 1f, 5f, 2f], [2, 4]), TensorProtos.Create("batches", [0L, 1L], [2]),
        TensorProtos.Create("at", Enumerable.Range(0, 12).Select(i => (long)(i % 4)).ToArray(), [2, 1, 1, 6]), TestModels.Weight("updates", 4, 2, 1, 1, 6), TestModels.Weight("grid", 5, 2, 5, 5, 2),
    ];

    [Theory]
    [InlineData("Slice x -> y {starts=[1,0] ends=[3,2] axes=[2,3]}", 7, 13)]
    [InlineData("Slice x -> y {starts=[1,0,1] ends=[2,2,9]}", 9, 10)]
    [InlineData("TopK x -> y i {axis=3 k=2}", 7, 13)]
    [InlineData("Clip x -> y {min=-0.5 max=0.25}", 7, 11)]
    [InlineData("Clip x -> y {max=0.25}", 10, 21)]
    [InlineData("Cast x -> h {to=10}; Clip h -> a {min=-0.5}; Cast a -> y {to=1}", 9, 13)]
    [InlineData("Pad x -> y {pads=[0,0,1,1,0,0,2,0] value=0.5}", 7, 13)]
    [InlineData("Pad x -> y {pads=[0,0,1,1,0,0,2,0] mode=reflect}", 10, 18)]
    [InlineData("Dropout x -> d m {ratio=0.3}; Neg d -> y", 7, 13)]
    [InlineData("Unsqueeze x -> a {axes=[0,3]}; Squeeze a -> y {axes=[3]}", 7, 13)]
    [InlineData("ReduceSum x -> y {axes=[1,2] keepdims=0}", 11, 13)]
    [InlineData("ReduceMean x -> y {axes=[2]}", 13, 18)]
    [InlineData("ReduceMax x -> a {keepdims=0}; ReduceL2 x -> b {axes=[1]}; Add a b -> y", 12, 20)]
    [InlineData("Split x -> a b c {axis=1 split=[1,1,1]}; Add a c -> y", 7, 13)]
    [InlineData("Split x -> a b {axis=2}; Sub a b -> y", 11, 18)]
    [InlineData("Softmax x -> y", 7, 13)]
    [InlineData("Softmax x -> y {axis=0}", 12, 13)]
    [InlineData("Softmax x -> y {axis=3}", 9, 17)]
    [InlineData("LogSoftmax x -> y {axis=2}", 11, 13)]
    [InlineData("Hardmax x -> h {axis=2}; Add x h -> y", 10, 13)]
    [InlineData("Softmax x -> y {axis=2}", 13, 20)]
    [InlineData("Upsample x -> y {scales=up mode=nearest}", 7, 13)]
    [InlineData("Upsample x -> y {scales=up mode=linear}", 8, 13)]
    [InlineData("Upsample x up -> y {mode=nearest}", 9, 13)]
    [InlineData("Upsample x up -> y {mode=linear}", 9, 11)]
    [InlineData("Resize x up -> y {mode=nearest}", 10, 11)]
    [InlineData("Resize x down -> y {mode=nearest}", 10, 13)]
    [InlineData("Resize x down -> y {mode=linear}", 10, 18)]
    [InlineData("Scatter x at updates -> y {axis=2}", 9, 13)]
    [InlineData("RoiAlign x rois batches -> y {output_height=2 output_width=2}", 11, 16)]
    [InlineData("GridSample x grid -> y", 16, 20)]
    [InlineData("GridSample x grid -> y {mode=bicubic}", 17, 21)]
    public void SameMeaning(string nodes, int from, int to)
    {
        OnnxModel model = Model(nodes, from), raised = model.Clone();
        Assert.True(OpsetRaiser.TryRaise(raised, to, Types(model)));
        Assert.Equal(to, raised.Opset);
        Tensor x = TestModels.Random(3, Shape);
        SessionSettings asItIs = new() { Optimize = false };
        using OnnxRuntimeSession before = new(model, settings: asItIs), after = new(raised, settings: asItIs);
        Tensor expected = before.Run(x)["y"], actual = after.Run(x)["y"];
        Assert.Equal(expected.Shape, actual.Shape);
        // For float16 ONNX Runtime has no kernel of the older Clip; it leaves the values float32.
        float tolerance = nodes.Contains("to=10") ? 1e-3f : 1e-6f;
        Assert.All(expected.ToArray().Zip(actual.ToArray()), v => Assert.Equal(v.First, v.Second, tolerance));
        Assert.Contains(expected.ToArray(), v => v != expected.ToArray()[0]);
    }

    [Theory]
    [InlineData("Resize x both -> y {mode=nearest}", 10, 13, "n0 (Resize)")]
    [InlineData("BatchNormalization x g b m v -> y {spatial=0}", 7, 13, "n0 (BatchNormalization)")]
    [InlineData("Neg x -> y", 6, 13, "from 7 on")]
    public void WhatCannotBeLiftedStays(string nodes, int from, int to, string words)
    {
        TensorProto[] pixels = [.. ((string[])["g", "b", "m", "v"]).Select((n, i) => TestModels.Weight(n, i, 3, 4, 6))];
        OnnxModel model = PassCase.Model(nodes + "; Clip x -> z {min=0.0}", Shape, from, ["y", "z"], [.. Constants, .. pixels]);
        byte[] before = model.ToBytes();
        Assert.False(OpsetRaiser.TryRaise(model, to, Types(model)));
        Assert.Equal(before, model.ToBytes());
        var e = Assert.Throws<QuantPS.Engine.Errors.QuantException>(() => OpsetRaiser.Raise(model, to, ValueTypes.Infer(TestModels.Conv(1, 1, 1))));
        Assert.Contains(words, e.Message);
        Assert.Equal(before, model.ToBytes());
    }

    /// <summary>Tools that cut models into pieces list an operator set twice, and "ai.onnx" is another name of "". The last one counts, as in ONNX Runtime, and the
    /// written file, whose scales per channel need operator set 13, has one.</summary>
    [Theory]
    [InlineData("", 11)]
    [InlineData("ai.onnx", 9)]
    [InlineData("ai.onnx", 17)]
    public void AnOperatorSetListedTwiceIsOne(string name, int first)
    {
        ModelProto proto = PassCase.Model("Conv x w -> a; Relu a -> y", Shape, 11, constants: [TestModels.Weight("w", 1, 5, 3, 2, 2)]).Proto.Clone();
        proto.OpsetImport.Insert(0, new OperatorSetIdProto { Domain = name, Version = first });
        OnnxModel model = OnnxModel.FromProto(proto, "twice");
        Assert.Equal(11, model.Opset);
        Tensor x = TestModels.Random(3, Shape);
        using Calibrator calibrator = new(model, QConfigPresets.Get("x86"));
        calibrator.Observe(x);
        OnnxModel file = QdqExporter.Export(ModelQuantizer.Quantize(calibrator.Finish())).Model;
        Assert.Single(file.Proto.OpsetImport);
        using OnnxRuntimeSession session = new(file);
        Assert.Equal([2, 5, 3, 5], session.Run(x)["y"].Shape);
    }

    [Fact]
    public void BodiesAreLiftedToo()
    {
        GraphProto Body(string name, NodeProto node)
        {
            GraphProto g = new() { Name = name };
            g.Node.Add(node);
            g.Output.Add(Nodes.Value(node.Output[0], DataType.Float, null, 3, null, null));
            return g;
        }
        AttributeProto Branch(string name, GraphProto g) => new() { Name = name, Type = AttributeProto.Types.AttributeType.Graph, G = g };
        OnnxModel model = TestModels.Graph(["N", 3, 4, 6],
            [
                Nodes.Create("ReduceMax", "max", ["x"], ["top"], Nodes.Attribute("keepdims", 0L)), Nodes.Create("Greater", "greater", ["top", "half"], ["big"]),
                Nodes.Create("If", "if", ["big"], ["y"], Branch("then_branch", Body("a", Nodes.Create("Softmax", "soft", ["x"], ["a_y"], Nodes.Attribute("axis", 2L)))),
                    Branch("else_branch", Body("b", Nodes.Create("Pad", "pad", ["x"], ["b_y"], Nodes.Attribute("pads", [0, 0, 0, 0, 0, 0, 0, 0]))))),
            ], [TensorProtos.Create("half", [0.5f], [])], ["y"], opset: 10, ir: 5);
        OnnxModel raised = model.Clone();
        Assert.True(OpsetRaiser.TryRaise(raised, 13, Types(model)));
        using OnnxRuntimeSession before = new(model), after = new(raised);
        foreach (float factor in (float[])[1, -0.01f])
        {
            Tensor x = TestModels.Random(3, Shape);
            foreach (ref float v in x.Span)
                v *= factor;
            Assert.All(before.Run(x)["y"].ToArray().Zip(after.Run(x)["y"].ToArray()), v => Assert.Equal(v.First, v.Second, 1e-6f));
        }
    }

    private static Lazy<ValueTypes> Types(OnnxModel model) => new(() => ValueTypes.Infer(model));

    private static OnnxModel Model(string nodes, int opset)
    {
        bool scales = nodes.Contains("scales=up");
        OnnxModel model = PassCase.Model(nodes.Replace("scales=up ", ""), Shape, opset, constants: Constants);
        if (scales)
            model.Proto.Graph.Node[0].Attribute.Add(new AttributeProto { Name = "scales", Type = AttributeProto.Types.AttributeType.Floats, Floats = { 1f, 1f, 2f, 3f } });
        if (model.Proto.Graph.Node[0].OpType == "TopK" && opset >= 10)
            model.Proto.Graph.Node[0].Input.Add("k");
        return model;
    }
}
