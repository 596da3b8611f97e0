using Google.Protobuf;
using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Passes;
using QuantPS.Onnx.Quantization;
using QuantPS.Onnx.Tests.Passes;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Tests.Model;

/// <summary>Models as other people's exporters write them: from import to the exported int8 file.</summary>
public class WildModelTests
{
    private static readonly int[] Shape = [2, 3, 8, 8];

    /// <summary>The oldest operator set to the newest that ONNX Runtime 1.31 takes without a warning.</summary>
    [Theory]
    [InlineData(7, 3)]
    [InlineData(8, 3)]
    [InlineData(9, 4)]
    [InlineData(10, 5)]
    [InlineData(11, 6)]
    [InlineData(12, 7)]
    [InlineData(13, 7)]
    [InlineData(14, 7)]
    [InlineData(15, 8)]
    [InlineData(16, 8)]
    [InlineData(17, 8)]
    [InlineData(18, 8)]
    [InlineData(19, 9)]
    [InlineData(20, 9)]
    [InlineData(21, 10)]
    [InlineData(22, 10)]
    [InlineData(23, 11)]
    [InlineData(24, 12)]
    [InlineData(25, 13)]
    [InlineData(26, 13)]
    public void OperatorSet(int opset, int ir)
    {
        string clip = opset < 11 ? "Clip a -> b {min=0.0 max=6.0}" : "Clip a c0 c6 -> b", axes = opset < 13 ? "Squeeze p -> s {axes=[2,3]}" : "Squeeze p ax -> s";
        TensorProto[] constants = [TestModels.Weight("w", 1, 8, 3, 3, 3), TestModels.Weight("bias", 2, 8), TestModels.Weight("m", 3, 8, 5), TensorProtos.Create("ax", [2L, 3L], [2])];
        OnnxModel model = PassCase.Model($"Conv x w bias -> a; {clip}; Dropout b -> d; GlobalAveragePool d -> p; {axes}; MatMul s m -> y", Shape, opset, constants: constants, ir: ir);
        // Up to IR version 3 every initializer is an input too.
        if (ir < 4)
            model.Proto.Graph.Input.AddRange(model.Proto.Graph.Initializer.Select(t => Nodes.Value(t.Name, t.Type(), [.. t.Shape().Select(d => (object)d)])));
        model = OnnxModel.FromProto(model.Proto, "wild");
        Tensor x = TestModels.Random(9, Shape);
        QuantizedGraph graph = Quantize(model, x);
        Assert.Equal(2, graph.Layers.Count);
        OnnxModel export = QdqExporter.Export(graph).Model;
        Assert.Equal(Math.Max(13, opset), export.Opset);
        AssertClose(model, export, x);
    }

    /// <summary>Every form that Constant can have, where a constant is needed.</summary>
    [Fact]
    public void ConstantsAsNodes()
    {
        AttributeProto Ints(string name, params long[] v) => new() { Name = name, Type = AttributeProto.Types.AttributeType.Ints, Ints = { v } };
        AttributeProto Floats(string name, params float[] v) => new() { Name = name, Type = AttributeProto.Types.AttributeType.Floats, Floats = { v } };
        AttributeProto Tensor(TensorProto t) => new() { Name = "value", Type = AttributeProto.Types.AttributeType.Tensor, T = t };
        SparseTensorProto sparse = new() { Dims = { 8, 5 }, Values = TensorProtos.Create("v", TestModels.RandomVector(4, 20), [20]), Indices = TensorProtos.Create("i", Enumerable.Range(0, 20).Select(i => 2L * i).ToArray(), [20]) };
        NodeProto[] nodes =
        [
            Nodes.Create("Constant", "", [], ["w"], Tensor(TestModels.Weight("", 1, 8, 3, 3, 3))),
            Nodes.Create("Constant", "", [], ["bias"], Floats("value_floats", TestModels.RandomVector(2, 8))),
            Nodes.Create("Constant", "", [], ["low"], Nodes.Attribute("value_float", 0f)),
            Nodes.Create("Constant", "", [], ["high"], Nodes.Attribute("value_float", 6f)),
            Nodes.Create("Constant", "", [], ["axes"], Ints("value_ints", 2, 3)),
            Nodes.Create("Constant", "", [], ["one"], Nodes.Attribute("value_int", 1L)),
            Nodes.Create("Constant", "", [], ["m"], new AttributeProto { Name = "sparse_value", Type = AttributeProto.Types.AttributeType.SparseTensor, SparseTensor = sparse }),
            Nodes.Create("Conv", "conv", ["x", "w", "bias"], ["a"]), Nodes.Create("Clip", "clip", ["a", "low", "high"], ["b"]),
            Nodes.Create("GlobalAveragePool", "pool", ["b"], ["p"]), Nodes.Create("Squeeze", "squeeze", ["p", "axes"], ["s"]),
            Nodes.Create("MatMul", "matmul", ["s", "m"], ["t"]), Nodes.Create("Unsqueeze", "un", ["t", "one1"], ["u"]), Nodes.Create("Reshape", "r1", ["one", "shape1"], ["one1"]),
            Nodes.Create("Constant", "", [], ["shape1"], Ints("value_ints", 1)), Nodes.Create("Flatten", "flat", ["u"], ["y"]),
        ];
        OnnxModel model = TestModels.Graph(["N", 3, 8, 8], nodes, [], ["y"]);
        Tensor x = TestModels.Random(9, Shape);
        QuantizedGraph graph = Quantize(model, x);
        Assert.Equal(["conv", "matmul"], graph.Layers.Select(l => l.Name));
        Assert.Equal("Conv+Clip", graph.Nodes[0].OpType);
        OnnxModel export = QdqExporter.Export(graph).Model;
        Assert.DoesNotContain(export.Graph.Nodes, n => n.OpType == "Constant" && n.Output[0] is "w" or "bias" or "m");
        AssertClose(model, export, x);
    }

    /// <summary>What no part of the module knows comes out as it went in.</summary>
    [Fact]
    public void EverythingElseIsCarriedThrough()
    {
        NodeProto fancy = Nodes.Create("Fancy", "fancy", ["h"], ["f"], Nodes.Attribute("strength", 3L), new AttributeProto { Name = "note", Type = AttributeProto.Types.AttributeType.String, S = ByteString.CopyFromUtf8("ümlaut") });
        fancy.Domain = "example.org";
        fancy.DocString = "what it is for";
        fancy.MetadataProps.Add(new StringStringEntryProto { Key = "namespace", Value = "a/b" });
        FunctionProto function = new() { Name = "Fancy", Domain = "example.org", Input = { "i" }, Output = { "o" }, Attribute = { "strength", "note" } };
        function.OpsetImport.Add(new OperatorSetIdProto { Version = 17 });
        function.Node.Add(Nodes.Create("Softsign", "inner", ["i"], ["o"]));
        OnnxModel model = TestModels.Graph(["batch", 3, "height", "width"],
            [Nodes.Create("Conv", "c", ["x", "w"], ["h"]), fancy, Nodes.Create("Relu", "r", ["f"], ["y"])], [TestModels.Weight("w", 1, 4, 3, 3, 3)], ["y"]);
        ModelProto proto = model.Proto;
        proto.OpsetImport.Add(new OperatorSetIdProto { Domain = "example.org", Version = 1 });
        proto.Functions.Add(function);
        proto.ProducerName = "someone";
        proto.ProducerVersion = "1.2";
        proto.Domain = "org.example";
        proto.ModelVersion = 42;
        proto.DocString = "a model";
        proto.Graph.DocString = "a graph";
        proto.MetadataProps.Add(new StringStringEntryProto { Key = "names", Value = "{0: 'cat'}" });
        proto.Graph.Output[0] = Nodes.Value("y", DataType.Float, "batch", 4, "oh", "ow");
        proto.MergeFrom(UnknownField(4000, "from the future"));
        model = OnnxModel.FromProto(proto, "wild");

        Tensor x = TestModels.Random(9, Shape);
        ModelProto export = QdqExporter.Export(Quantize(model, x)).Model.Proto;
        Assert.Equal(fancy.ToByteArray(), export.Graph.Node.Single(n => n.OpType == "Fancy").ToByteArray());
        ModelProto frame = proto.Clone(), exportedFrame = export.Clone();
        frame.Graph = exportedFrame.Graph = new GraphProto();
        Assert.Equal(frame.ToByteArray(), exportedFrame.ToByteArray());
        Assert.Equal(proto.Graph.Input, export.Graph.Input);
        Assert.Equal(proto.Graph.Output, export.Graph.Output);
        Assert.Equal("a graph", export.Graph.DocString);
        AssertClose(model, OnnxModel.FromProto(export, "export"), x);
    }

    /// <summary>Nobody here can run it, but it can be looked at and written again.</summary>
    [Fact]
    public void UnknownOperatorIsKeptButNotRun()
    {
        NodeProto odd = Nodes.Create("Odd", "odd", ["h"], ["y"], Nodes.Attribute("strength", 3L));
        odd.Domain = "nobody.knows";
        OnnxModel model = TestModels.Graph(["N", 3, 8, 8], [Nodes.Create("Conv", "c", ["x", "w"], ["h"]), odd], [TestModels.Weight("w", 1, 4, 3, 3, 3)], ["y"]);
        model.Proto.OpsetImport.Add(new OperatorSetIdProto { Domain = "nobody.knows", Version = 1 });
        ValueTypes types = ValueTypes.Infer(model);
        Assert.Equal("[N, 3, 8, 8]", types.Inputs.Types.Single().ShapeText);
        Assert.True(types.IsFloat("x"));
        Assert.Null(types["h"]);
        OnnxModel prepared = PassRegistry.Apply(model);
        Assert.Equal(odd.ToByteArray(), prepared.Graph.Nodes[1].ToByteArray());
        QuantException e = Assert.Throws<QuantException>(() => Quantize(model, TestModels.Random(9, Shape)));
        Assert.Equal(ErrorIds.UnsupportedOperator, e.ErrorId);
        Assert.Contains("Odd", e.Message);
    }

    /// <summary>Bodies that take values and constants from outside, next to what the passes rewrite.</summary>
    [Fact]
    public void BodiesStayIntact()
    {
        GraphProto Body(string name, string op)
        {
            GraphProto g = new() { Name = name };
            // "h" is a value that gets quantized, "a" one in front of an Identity, "k" a constant that a fold outside uses too.
            g.Node.Add(Nodes.Create(op, name, ["h", "i"], [name + "1"]));
            g.Node.Add(Nodes.Create("Mul", name + "m", [name + "1", "k"], [name + "2"]));
            g.Output.Add(Nodes.Value(name + "2", DataType.Float, null, 3, null, null));
            return g;
        }
        AttributeProto Branch(string name, GraphProto g) => new() { Name = name, Type = AttributeProto.Types.AttributeType.Graph, G = g };
        OnnxModel model = TestModels.Graph(["N", 3, 8, 8],
            [
                Nodes.Create("Conv", "c1", ["x", "w"], ["g"]), Nodes.Create("Mul", "scale", ["g", "k"], ["h"]), Nodes.Create("Identity", "id", ["h"], ["i"]),
                Nodes.Create("ReduceMax", "max", ["x"], ["top"], Nodes.Attribute("keepdims", 0L)), Nodes.Create("Greater", "greater", ["top", "half"], ["big"]),
                Nodes.Create("If", "if", ["big"], ["b"], Branch("then_branch", Body("add", "Add")), Branch("else_branch", Body("sub", "Max"))),
                Nodes.Create("Conv", "c2", ["b", "w"], ["y"]),
            ], [TestModels.Weight("w", 1, 3, 3, 1, 1), TensorProtos.Create("k", [2f], [1]), TensorProtos.Create("half", [0.5f], [])], ["y"]);
        Tensor x = TestModels.Random(9, Shape);
        QuantizedGraph graph = Quantize(model, x);
        Assert.Equal(2, graph.Layers.Count);
        OnnxModel export = QdqExporter.Export(graph).Model;
        Assert.Equal(model.Graph.Nodes.Single(n => n.OpType == "If").ToByteArray(), export.Graph.Nodes.Single(n => n.OpType == "If").ToByteArray());
        AssertClose(model, export, x);
        // The other branch.
        Tensor small = TestModels.Random(10, Shape);
        foreach (ref float v in small.Span)
            v = Math.Min(v, 0.4f);
        AssertClose(model, export, small, 0.2);
    }

    /// <summary>Sizes that vary from batch to batch, in the calibration as in the run.</summary>
    [Fact]
    public void SizesThatVary()
    {
        OnnxModel model = TestModels.Graph(["batch", 3, "height", null],
            [Nodes.Create("Conv", "c", ["x", "w"], ["h"], Nodes.Attribute("pads", [1, 1, 1, 1])), Nodes.Create("Relu", "r", ["h"], ["y"])], [TestModels.Weight("w", 1, 4, 3, 3, 3)], ["y"]);
        using Calibrator calibrator = new(model, QConfigPresets.Default);
        foreach (int[] shape in (int[][])[[2, 3, 8, 8], [1, 3, 5, 9], [3, 3, 16, 4]])
            calibrator.Observe(TestModels.Random(shape[^1], shape));
        Assert.Equal(6, calibrator.SampleCount);
        OnnxModel export = QdqExporter.Export(ModelQuantizer.Quantize(calibrator.Finish())).Model;
        Assert.Equal(model.Proto.Graph.Input, export.Proto.Graph.Input);
        AssertClose(model, export, TestModels.Random(1, 1, 3, 20, 3));
    }

    private static QuantizedGraph Quantize(OnnxModel model, Tensor x)
    {
        using Calibrator calibrator = new(model, QConfigPresets.Default);
        calibrator.Observe(x);
        return ModelQuantizer.Quantize(calibrator.Finish());
    }

    private static void AssertClose(OnnxModel model, OnnxModel export, Tensor x, double most = 0.05)
    {
        using OnnxRuntimeSession real = new(model), quantized = new(export);
        float[] expected = real.Run(x)["y"].ToArray(), actual = quantized.Run(x)["y"].ToArray();
        double error = expected.Zip(actual).Average(v => Math.Abs(v.First - v.Second)) / (expected.Max() - expected.Min());
        Assert.InRange(error, 1e-9, most);
    }

    private static byte[] UnknownField(int number, string text)
    {
        using MemoryStream stream = new();
        using (CodedOutputStream output = new(stream, leaveOpen: true))
        {
            output.WriteTag(number, WireFormat.WireType.LengthDelimited);
            output.WriteString(text);
        }
        return stream.ToArray();
    }
}
