using QuantPS.Engine.Configuration;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Passes;
using QuantPS.Onnx.Quantization;
using AttributeType = QuantPS.Onnx.Model.Proto.AttributeProto.Types.AttributeType;

namespace QuantPS.Onnx.Tests.Passes;

/// <summary>Models with functions of their own compute the same without them, and their layers are quantized.</summary>
public class InlineFunctionsTests
{
    private static readonly int[] Shape = [2, 3, 6, 5];

    /// <summary>Called twice, one from within another, with an attribute that is passed on and one that has a default; values inside have the names of values outside.</summary>
    [Fact]
    public void LayersInsideAreQuantized()
    {
        NodeProto leaky = Nodes.Create("LeakyRelu", "r", ["c"], ["x"]);
        leaky.Attribute.Add(new AttributeProto { Name = "alpha", RefAttrName = "slope", Type = AttributeType.Float });
        FunctionProto block = Function("Block", ["v", "w"], ["x"], [Nodes.Create("Conv", "", ["v", "w"], ["c"], Nodes.Attribute("pads", [1, 1, 1, 1])), leaky]);
        block.AttributeProto.Add(Nodes.Attribute("slope", 0.25f));
        NodeProto inner = Nodes.Create("Block", "b", ["h", "w"], ["y"], Nodes.Attribute("slope", 0.5f));
        inner.Domain = "own";
        FunctionProto twice = Function("Residual", ["h", "w"], ["a", "k"], [inner, Nodes.Create("Add", "s", ["y", "h"], ["a"]), Nodes.Create("Identity", "", ["h"], ["k"])]);
        OnnxModel model = Model([twice, block], [Own("Block", "one", ["x", "w1"], ["a"]), Own("Residual", "two", ["a", "w2"], ["b", "same"]), Own("Residual", "", ["same", "w2"], ["c", "again"]), Nodes.Create("Add", "sum", ["b", "c"], ["y"])]);
        OnnxModel prepared = PassCase.Check(model, null, Shape, 0);
        Assert.Empty(prepared.Proto.Functions);
        Assert.Equal([""], prepared.Proto.OpsetImport.Select(o => o.Domain));
        Assert.Equal(["Add", "Add", "Add", "Conv", "Conv", "Conv", "LeakyRelu", "LeakyRelu", "LeakyRelu"], PassCase.Operators(prepared).Order());
        Assert.Equal([0.25f, 0.5f, 0.5f], prepared.Graph.Nodes.Where(n => n.OpType == "LeakyRelu").Select(n => n.GetFloat("alpha", 0)));

        Tensor x = TestModels.Random(4, Shape);
        using Calibrator calibrator = new(model, QConfigPresets.Get("x86"));
        calibrator.Observe(x);
        QuantizedGraph graph = ModelQuantizer.Quantize(calibrator.Finish());
        Assert.Empty(graph.FloatNodes);
        using OnnxRuntimeSession session = new(QdqExporter.Export(graph).Model);
        Assert.Equal([2, 8, 6, 5], session.Run(x)["y"].Shape);
    }

    /// <summary>Functions that lead to themselves are no model; they are left as they are, for ONNX Runtime to refuse.</summary>
    [Fact]
    public void WhatNeverEndsStaysACall()
    {
        FunctionProto a = Function("A", ["v", "w"], ["x"], [Own("B", "b", ["v", "w"], ["c"]), Own("B", "d", ["c", "w"], ["x"])]);
        FunctionProto b = Function("B", ["v", "w"], ["x"], [Nodes.Create("Conv", "", ["v", "w"], ["c"]), Own("A", "a", ["c", "w"], ["x"])]);
        OnnxModel model = Model([a, b], [Own("A", "one", ["x", "w1"], ["y"])]);
        Assert.Equal(0, new InlineFunctions().Apply(new PassContext(model)));
        Assert.Equal(2, model.Proto.Functions.Count);
    }

    /// <summary>Optional inputs and outputs that a call leaves out, a body with a body inside.</summary>
    [Fact]
    public void NamesAreTheCallers()
    {
        GraphProto branch(string op) => new() { Name = op, Node = { Nodes.Create(op, "in", ["h"], ["r"]) }, Output = { new ValueInfoProto { Name = "r" } } };
        NodeProto choice = Nodes.Create("If", "choice", ["p"], ["q"], new AttributeProto { Name = "then_branch", Type = AttributeType.Graph, G = branch("Relu") },
            new AttributeProto { Name = "else_branch", Type = AttributeType.Graph, G = branch("Abs") });
        FunctionProto function = Function("Choose", ["v", "low", "high"], ["d", "q", "k"],
            [Nodes.Create("Clip", "c", ["v", "low", "high"], ["h"]), Nodes.Create("ReduceMax", "m", ["h"], ["n"], Nodes.Attribute("keepdims", 0L)), Nodes.Create("Greater", "g", ["n", "n"], ["p"]), choice, Nodes.Create("Neg", "e", ["q"], ["d"]), Nodes.Create("Neg", "k", ["v"], ["k"])]);
        OnnxModel model = Model([function], [Nodes.Create("Conv", "conv", ["x", "w1"], ["h"]), Own("Choose", "call", ["h", "", "limit"], ["", "z", "v"]), Nodes.Create("Add", "add", ["z", "v"], ["y"])],
            TensorProtos.Create("limit", [0.5f], []));
        OnnxModel prepared = PassCase.Check(model, new InlineFunctions(), Shape, 0);
        Assert.Equal(prepared.Graph.Nodes.SelectMany(n => n.Output).Count(), prepared.Graph.Nodes.SelectMany(n => n.Output).Distinct().Count());
        Assert.Equal(["", "limit"], prepared.Graph.Nodes.Single(n => n.OpType == "Clip").Input.Skip(1));
    }

    /// <summary>A body of an older operator set is taken where it means the same in the model's; then the model can be lifted, which functions are in the way of. Where
    /// there is nothing to quantize inside, a call stays a call.</summary>
    [Theory]
    [InlineData("Relu", 9, true)]
    [InlineData("Relu", 13, true)]
    [InlineData("Softmax", 9, false)]
    [InlineData("Softsign", 13, false)]
    public void OlderBodies(string op, int opset, bool inlined)
    {
        OnnxModel model = Model([Function("Old", ["v"], ["r"], [Nodes.Create(op, "n", ["v"], ["r"])], opset)], [Nodes.Create("Conv", "c", ["x", "w1"], ["a"]), Own("Old", "o", ["a"], ["y"])]);
        OnnxModel prepared = PassRegistry.Apply(model, [new InlineFunctions()]);
        Assert.Equal(inlined ? op : "Old", prepared.Graph.Nodes[1].OpType);
        Assert.Equal(inlined ? 0 : 1, prepared.Proto.Functions.Count);
        if (inlined)
            PassCase.Check(model, null, Shape, 0);
    }

    private static FunctionProto Function(string name, string[] inputs, string[] outputs, NodeProto[] nodes, int opset = 13)
    {
        FunctionProto function = new() { Name = name, Domain = "own" };
        function.Input.AddRange(inputs);
        function.Output.AddRange(outputs);
        function.Node.AddRange(nodes);
        function.OpsetImport.Add(new OperatorSetIdProto { Version = opset });
        function.OpsetImport.Add(new OperatorSetIdProto { Domain = "own", Version = 1 });
        return function;
    }

    private static NodeProto Own(string opType, string name, string[] inputs, string[] outputs)
    {
        NodeProto node = Nodes.Create(opType, name, inputs, outputs);
        node.Domain = "own";
        return node;
    }

    private static OnnxModel Model(FunctionProto[] functions, NodeProto[] nodes, params TensorProto[] constants)
    {
        ModelProto proto = TestModels.Graph([.. Shape.Select(d => (object)d)], nodes,
            [TestModels.Weight("w1", 1, 8, 3, 3, 3), TestModels.Weight("w2", 2, 8, 8, 3, 3), .. constants], ["y"], opset: 13).Proto;
        proto.Functions.AddRange(functions);
        proto.OpsetImport.Add(new OperatorSetIdProto { Domain = "own", Version = 1 });
        return OnnxModel.FromProto(proto, "functions");
    }
}
