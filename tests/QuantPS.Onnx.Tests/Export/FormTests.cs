using QuantPS.Engine.Configuration;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Quantization;
using QuantPS.Onnx.Runtime;

namespace QuantPS.Onnx.Tests.Export;

/// <summary>Every operator behind a convolution, in both forms of file and in our runtime, against the float model and against each other.</summary>
public class FormTests
{
    /// <summary>An operator between a convolution and the output.</summary>
    /// <param name="Nodes">From "h" [N, 4, 8, 8], non-negative "r" of the same shape, "m" [N, 16, 16] and the constants below to "y".</param>
    /// <param name="Qdq">What ONNX Runtime makes of the QDQ form.</param>
    /// <param name="QOperator">The operator in the QOperator form; null where there is none.</param>
    public sealed record Case(NodeProto[] Nodes, string Qdq, string? QOperator);

    private static readonly TensorProto[] Constants =
    [
        TestModels.Weight("w", 1, 4, 3, 3, 3), TestModels.Weight("b", 2, 4), TestModels.Weight("w2", 3, 4, 3, 3, 3), TestModels.Weight("w3", 4, 4, 4, 3, 3),
        TensorProtos.Create("low", [-0.4f], []), TensorProtos.Create("high", [0.6f], []), TensorProtos.Create("half", [0.5f], []),
        TestModels.Weight("row", 5, 4, 1, 1), TestModels.Weight("plane", 6, 1, 4, 8, 8), TestModels.Weight("channels", 7, 4), TestModels.Weight("channels2", 8, 4),
        TensorProtos.Create("to16", new long[] { 0, 16, 16 }, [3]), TensorProtos.Create("flat", new long[] { 0, -1, 8 }, [3]),
        TensorProtos.Create("each", [.. Enumerable.Range(0, 1 * 4 * 8 * 3).Select(i => (long)(i * 5 % 8))], [1, 4, 8, 3]),
        TensorProtos.Create("one", new long[] { 1 }, [1]), TensorProtos.Create("five", new long[] { 5 }, [1]), TensorProtos.Create("two", new long[] { 2 }, [1]),
        TensorProtos.Create("picks", new long[] { 3, 0, 3 }, [3]), TensorProtos.Create("pads", new long[] { 0, 0, 1, 2, 0, 0, 3, 1 }, [8]),
        TensorProtos.Create("scales", [1f, 1f, 2f, 1.5f], [4]), TensorProtos.Create("shape5", new long[] { 3, 1, 1, 1, 1 }, [5]),
        TensorProtos.Create("halves", [1f, 1f, 0.5f, 3f], [4]), TensorProtos.Create("sizes", new long[] { 2, 4, 13, 5 }, [4]), TestModels.Weight("tiles", 14, 4, 5, 2, 3),
        TensorProtos.Create("last", new long[] { -1 }, [1]), TensorProtos.Create("before", new long[] { -100 }, [1]), TensorProtos.Create("minus", new long[] { -3 }, [1]),
        TensorProtos.Create("nine", [9f], []), TestModels.Weight("square", 9, 16, 12), TestModels.Weight("twelve", 10, 12),
        TestModels.Weight("turned", 11, 4, 5, 3, 3), TestModels.Weight("fives", 12, 5), TestModels.Weight("batched", 13, 1, 16, 10),
        TestModels.Weight("gains", 25, 8, 8), TestModels.Weight("offsets", 26, 8, 8),
    ];

    /// <summary>A condition that depends on the data but not on anything quantized.</summary>
    private static readonly NodeProto[] Condition =
    [
        Nodes.Create("ReduceMax", "max", ["x"], ["xm"], Nodes.Attribute("axes", [1])),
        Nodes.Create("Greater", "gt", ["xm", "half"], ["c"]),
    ];

    private static readonly Dictionary<string, Case> Cases = new()
    {
        ["Add"] = One("Add", ["h", "h2"], "QLinearAdd", "QLinearAdd"),
        ["AddConstant"] = One("Add", ["h", "plane"], "QLinearAdd", "QLinearAdd"),
        ["AddBroadcast"] = One("Add", ["row", "h"], "QLinearAdd", "QLinearAdd"),
        ["AddScalar"] = One("Add", ["h", "half"], "QLinearAdd", "QLinearAdd"),
        ["AddRelu"] = new([Nodes.Create("Add", "op", ["h", "h2"], ["a"]), Nodes.Create("Relu", "relu", ["a"], ["y"])], "QLinearAdd", "QLinearAdd"),
        ["Mul"] = One("Mul", ["h", "h2"], "QLinearMul", "QLinearMul"),
        ["MulScalar"] = One("Mul", ["h", "half"], "QLinearMul", "QLinearMul"),
        ["MulBroadcast"] = One("Mul", ["h", "row"], "QLinearMul", "QLinearMul"),
        ["Concat"] = One("Concat", ["h", "h2", "h"], "QLinearConcat", "QLinearConcat", Nodes.Attribute("axis", 1L)),
        ["ConcatLast"] = One("Concat", ["h", "h2"], "QLinearConcat", "QLinearConcat", Nodes.Attribute("axis", -1L)),
        ["LeakyRelu"] = One("LeakyRelu", ["h"], "QLinearLeakyRelu", "QLinearLeakyRelu", Nodes.Attribute("alpha", 0.2f)),
        ["PRelu"] = One("PRelu", ["h", "row"], "PRelu", null),
        ["PReluSingle"] = One("PRelu", ["h", "half"], "PRelu", null),
        ["Sigmoid"] = One("Sigmoid", ["h"], "QLinearSigmoid", "QLinearSigmoid"),
        ["Tanh"] = One("Tanh", ["h"], "Tanh", null),
        ["HardSwish"] = One("HardSwish", ["h"], "HardSigmoid", null),
        ["Softmax"] = One("Softmax", ["h"], "QLinearSoftmax", "QLinearSoftmax", Nodes.Attribute("axis", 1L)),
        ["SoftmaxLast"] = One("Softmax", ["h"], "QLinearSoftmax", "QLinearSoftmax"),
        ["AveragePool"] = One("AveragePool", ["h"], "QLinearAveragePool", "QLinearAveragePool", Nodes.Attribute("kernel_shape", [3, 2]), Nodes.Attribute("strides", [2, 1]), Nodes.Attribute("pads", [1, 0, 1, 1])),
        ["AveragePoolCount"] = One("AveragePool", ["h"], "QLinearAveragePool", "QLinearAveragePool", Nodes.Attribute("kernel_shape", [3, 3]), Nodes.Attribute("pads", [1, 1, 1, 1]), Nodes.Attribute("count_include_pad", 1L)),
        ["GlobalAveragePool"] = One("GlobalAveragePool", ["h"], "QLinearGlobalAveragePool", "QLinearGlobalAveragePool"),
        ["ReduceMean"] = One("ReduceMean", ["h"], "ReduceMean", null, Nodes.Attribute("axes", [2, 3])),
        ["MaxPool"] = One("MaxPool", ["h"], "NhwcMaxPool", "MaxPool", Nodes.Attribute("kernel_shape", [2, 2]), Nodes.Attribute("strides", [2, 2])),
        ["Relu"] = new([Nodes.Create("Flatten", "f", ["h"], ["u"]), Nodes.Create("Relu", "op", ["u"], ["y"])], "Relu", "Clip"),
        ["Clip"] = new([Nodes.Create("Flatten", "f", ["h"], ["u"]), Nodes.Create("Clip", "op", ["u", "low", "high"], ["y"])], "Clip", "Clip"),
        ["Transpose"] = One("Transpose", ["h"], "Transpose", "Transpose", Nodes.Attribute("perm", [0, 2, 3, 1])),
        ["Reshape"] = One("Reshape", ["h", "flat"], "Reshape", "Reshape"),
        ["Flatten"] = One("Flatten", ["h"], "Flatten", "Flatten"),
        ["Unsqueeze"] = One("Unsqueeze", ["h", "one"], "Unsqueeze", "Unsqueeze"),
        ["Squeeze"] = new([Nodes.Create("Unsqueeze", "before", ["h", "one"], ["u"]), Nodes.Create("Squeeze", "op", ["u", "one"], ["y"])], "Squeeze", "Squeeze"),
        ["Slice"] = One("Slice", ["h", "one", "five", "two", "two"], "Slice", "Slice"),
        ["Gather"] = One("Gather", ["h", "picks"], "Gather", "Gather", Nodes.Attribute("axis", 1L)),
        ["GatherElements"] = One("GatherElements", ["h", "each"], "GatherElements", "GatherElements", Nodes.Attribute("axis", 3L)),
        ["Expand"] = One("Expand", ["h", "shape5"], "Expand", "Expand"),
        ["Pad"] = One("Pad", ["h", "pads"], "Pad", "Pad"),
        ["PadReflect"] = One("Pad", ["h", "pads"], "Pad", "Pad", Nodes.Attribute("mode", "reflect")),
        ["PadNine"] = One("Pad", ["h", "pads", "nine"], "Pad", null),
        ["Resize"] = One("Resize", ["h", "", "scales"], "Resize", "Resize", Nodes.Attribute("mode", "nearest")),
        ["ResizeHalf"] = One("Resize", ["h", "", "halves"], "Resize", "Resize", Nodes.Attribute("mode", "nearest"), Nodes.Attribute("coordinate_transformation_mode", "asymmetric"), Nodes.Attribute("nearest_mode", "floor")),
        ["ResizeCorners"] = One("Resize", ["h", "", "", "sizes"], "Resize", "Resize", Nodes.Attribute("mode", "nearest"), Nodes.Attribute("coordinate_transformation_mode", "align_corners"), Nodes.Attribute("nearest_mode", "round_prefer_ceil")),
        ["SliceBack"] = One("Slice", ["h", "last", "before", "two", "minus"], "Slice", "Slice"),
        ["TransposeLast"] = One("Transpose", ["m"], "Transpose", "Transpose"),
        ["ConvTransposeTiles"] = One("ConvTranspose", ["h", "tiles", "fives"], "ConvTranspose", null, Nodes.Attribute("strides", [2, 3])),
        ["ConvTransposeRelu"] = new([Nodes.Create("ConvTranspose", "op", ["h", "tiles"], ["t"], Nodes.Attribute("strides", [2, 3])), Nodes.Create("Relu", "relu", ["t"], ["y"])], "ConvTranspose", null),
        ["ResizeLinear"] = One("Resize", ["h", "", "scales"], "Resize", null, Nodes.Attribute("mode", "linear")),
        ["ResizeCubic"] = One("Resize", ["h", "", "scales"], "Resize", null, Nodes.Attribute("mode", "cubic")),
        ["DepthToSpace"] = One("DepthToSpace", ["h"], "DepthToSpace", "DepthToSpace", Nodes.Attribute("blocksize", 2L)),
        ["SpaceToDepth"] = One("SpaceToDepth", ["h"], "SpaceToDepth", "SpaceToDepth", Nodes.Attribute("blocksize", 2L)),
        ["Split"] = new([Nodes.Create("Split", "op", ["h"], ["s1", "s2"], Nodes.Attribute("axis", 1L)), Nodes.Create("Add", "sum", ["s1", "s2"], ["y"])], "Split", "Split"),
        ["Where"] = new([.. Condition, Nodes.Create("Where", "op", ["c", "h", "h2"], ["y"])], "QLinearWhere", "QLinearWhere"),
        ["WhereConstant"] = new([.. Condition, Nodes.Create("Where", "op", ["c", "h", "nine"], ["y"])], "QLinearWhere", "QLinearWhere"),
        ["MatMul"] = new([Nodes.Create("MatMul", "op", ["m", "square"], ["y"])], "QLinearMatMul", "QLinearMatMul"),
        ["MatMulAdd"] = new([Nodes.Create("MatMul", "op", ["m", "square"], ["p"]), Nodes.Create("Add", "bias", ["twelve", "p"], ["y"])], "MatMulIntegerToFloat", "MatMulIntegerToFloat"),
        ["MatMulOfActivations"] = One("MatMul", ["m", "m"], "QLinearMatMul", "QLinearMatMul"),
        ["MatMulBatchedConstant"] = One("MatMul", ["m", "batched"], "QLinearMatMul", "QLinearMatMul"),
        ["Gemm"] = new([Nodes.Create("Flatten", "flatten", ["m"], ["f"], Nodes.Attribute("axis", 2L)), Nodes.Create("Gemm", "op", ["f", "square", "twelve"], ["y"])], "QGemm", "QGemm"),
        ["Conv"] = new([Nodes.Create("Conv", "op", ["h", "w3", "b"], ["y"])], "QLinearConv", "QLinearConv"),
        ["ConvTranspose"] = One("ConvTranspose", ["h", "turned", "fives"], "ConvTranspose", null, Nodes.Attribute("strides", [2, 2]), Nodes.Attribute("pads", [1, 1, 1, 1])),
        ["ConvTransposeUneven"] = One("ConvTranspose", ["h", "turned", "fives"], "ConvTranspose", null, Nodes.Attribute("strides", [2, 2]), Nodes.Attribute("pads", [0, 1, 2, 0])),
        ["InstanceNormalization"] = One("InstanceNormalization", ["h", "channels", "channels2"], "InstanceNormalization", null),
        ["LayerNormalization"] = new([Nodes.Create("Transpose", "t", ["h"], ["u"], Nodes.Attribute("perm", [0, 2, 3, 1])), Nodes.Create("LayerNormalization", "op", ["u", "channels", "channels2"], ["y"])], "LayerNormalization", null),
        // Factor and offset of two dimensions, as recognized from what PyTorch's LayerNorm([8, 8]) is exported to.
        ["LayerNormalizationOfPlanes"] = One("LayerNormalization", ["h", "gains", "offsets"], "LayerNormalization", null, Nodes.Attribute("axis", -2L)),
    };

    public static TheoryData<string, string> Runs
    {
        get
        {
            TheoryData<string, string> runs = [];
            foreach (string name in Cases.Keys)
            {
                foreach (string preset in (string[])["onednn", "qnnpack", "onnxruntime", "onnxruntime_s8s8"])
                    runs.Add(name, preset);
            }
            return runs;
        }
    }

    [Theory]
    [MemberData(nameof(Runs))]
    public void BothFormsAndOurRuntimeAgree(string name, string preset)
    {
        Case c = Cases[name];
        OnnxModel model = ModelOf(c);
        QConfig config = QConfigPresets.Get(preset);
        config = config with { Activation = config.Activation with { Kind = ObserverKind.MinMax } };
        QuantizedGraph graph = Quantize(model, config);
        Assert.All(graph.Nodes.Where(n => n.Name is not ("max" or "gt")), n => Assert.True(n.IsQuantized, $"{n.Name}: {n.Reason}"));
        OnnxModel qdq = QdqExporter.Export(graph).Model, integer = QOperatorExporter.Export(graph).Model;
        Assert.Equal("", StandardError.Of(() =>
        {
            new OnnxRuntimeSession(qdq, settings: new SessionSettings { Warnings = true }).Dispose();
            new OnnxRuntimeSession(integer, settings: new SessionSettings { Warnings = true }).Dispose();
        }));
        // On x86, ONNX Runtime makes signed activations unsigned before it fuses, but not signed constants, and gives up where both meet.
        if (config.Activation.DType == QDType.QUInt8)
            Assert.Contains(c.Qdq, OptimizedOperators(qdq));
        if (c.QOperator is string op)
        {
            Assert.Contains(op, integer.Proto.Graph.Node.Select(n => n.OpType));
            // Nothing is float before the output.
            Assert.Equal(["y"], integer.Proto.Graph.Node.Where(n => n.OpType is "DequantizeLinear").SelectMany(n => n.Output));
        }

        Tensor x = TestModels.Random(6, 2, 3, 8, 8);
        using Int8Plan plan = new(graph);
        using ModelPlan file = new(qdq), integerFile = new(integer);
        using OnnxRuntimeSession real = new(model), pairs = new(qdq), integers = new(integer);
        float[] expected = real.Run(x)["y"].ToArray(), a = pairs.Run(x)["y"].ToArray(), b = integers.Run(x)["y"].ToArray();
        Tensor y = plan.Run(x).Outputs["y"];
        Assert.Equal(real.Run(x)["y"].Shape, y.Shape);
        QParams p = graph.QParamsOf("y")!;
        AssertAgree(a, b, p, 0.999);
        AssertAgree(a, y.ToArray(), p, 0.99);
        // Read back, both files give in our runtime what they give in ONNX Runtime.
        AssertAgree(a, ((Tensor)file.Run(x)["y"]).ToArray(), p, 0.99);
        AssertAgree(b, ((Tensor)integerFile.Run(x)["y"]).ToArray(), p, 0.99);
        float range = expected.Max() - expected.Min();
        Assert.All(expected.Zip(a), v => Assert.Equal(v.First, v.Second, 0.06f * range));
    }

    /// <summary>What only moves elements has its input's scale and zero point, in the file the very same initializers; what computes has its own.</summary>
    [Fact]
    public void DataMovementSharesScales()
    {
        string[] moving = ["Transpose", "Reshape", "Flatten", "Unsqueeze", "Squeeze", "Slice", "Gather", "GatherElements", "Expand", "Pad", "PadReflect", "Resize", "ResizeLinear",
            "DepthToSpace", "SpaceToDepth", "MaxPool", "AveragePool", "GlobalAveragePool", "ReduceMean"];
        foreach (string name in moving.Concat(["PadNine", "ResizeCubic", "Mul", "Concat", "LeakyRelu", "WhereConstant"]))
        {
            QuantizedGraph graph = Quantize(ModelOf(Cases[name]), QConfigPresets.Get("onnxruntime"));
            Assert.Equal((name, moving.Contains(name)), (name, ReferenceEquals(graph.QParamsOf("h"), graph.QParamsOf("y"))));
            OnnxModel qdq = QdqExporter.Export(graph).Model;
            string[] scales = [.. qdq.Proto.Graph.Node.Where(n => n.OpType == "DequantizeLinear").Where(n => n.Output[0] is "h" or "y").Select(n => n.Input[1])];
            Assert.Equal(moving.Contains(name) ? 1 : 2, scales.Distinct().Count());
        }
    }

    [Fact]
    public void ArgMaxOfIntegersIsArgMax()
    {
        OnnxModel model = TestModels.Graph(["N", 3, 8, 8], [Nodes.Create("Conv", "c", ["x", "w", "b"], ["h"]), Nodes.Create("ArgMax", "op", ["h"], ["i"], Nodes.Attribute("axis", 1L)),
            Nodes.Create("Cast", "cast", ["i"], ["y"], Nodes.Attribute("to", 1L))], Constants, ["y"]);
        QuantizedGraph graph = Quantize(model, QConfigPresets.Get("onnxruntime"));
        Assert.Equal(["cast"], graph.FloatNodes.Select(n => n.Name));
        Tensor x = TestModels.Random(6, 2, 3, 8, 8);
        using Int8Plan plan = new(graph);
        OnnxModel integer = QOperatorExporter.Export(graph).Model;
        Assert.DoesNotContain("DequantizeLinear", integer.Proto.Graph.Node.Select(n => n.OpType));
        using OnnxRuntimeSession pairs = new(QdqExporter.Export(graph).Model), integers = new(integer);
        float[] a = pairs.Run(x)["y"].ToArray();
        Assert.Equal(a, integers.Run(x)["y"].ToArray());
        Assert.InRange(a.Zip(plan.Run(x).Outputs["y"].ToArray()).Count(v => v.First != v.Second), 0, a.Length / 50);
        Assert.True(a.Distinct().Count() > 2);
    }

    /// <summary>An embedding: a constant table picked from by integers of the input.</summary>
    [Fact]
    public void TableOfGatherIsStoredAsIntegers()
    {
        OnnxModel model = TestModels.Graph(["N", 5], [Nodes.Create("Cast", "cast", ["x"], ["i"], Nodes.Attribute("to", 7L)), Nodes.Create("Gather", "op", ["table", "i"], ["e"]),
            Nodes.Create("MatMul", "m", ["e", "square"], ["y"])], [.. Constants, TestModels.Weight("table", 20, 30, 16)], ["y"]);
        Tensor x = new(new[] { 1, 5 }, new[] { 0f, 7f, 29f, 3f, 3f });
        using Calibrator calibrator = new(model, QConfigPresets.Get("onnxruntime"));
        calibrator.Observe(x);
        QuantizedGraph graph = ModelQuantizer.Quantize(calibrator.Finish());
        foreach (OnnxModel file in (OnnxModel[])[QdqExporter.Export(graph).Model, QOperatorExporter.Export(graph).Model])
        {
            Assert.DoesNotContain(file.Proto.Graph.Initializer, t => t.Name == "table");
            Assert.Equal(TensorProto.Types.DataType.Uint8, file.Proto.Graph.Initializer.Single(t => t.Name == "table_quantized").Type());
            using OnnxRuntimeSession session = new(file), real = new(model);
            using Int8Plan plan = new(graph);
            float[] expected = real.Run(x)["y"].ToArray(), y = session.Run(x)["y"].ToArray();
            Assert.All(expected.Zip(y), v => Assert.Equal(v.First, v.Second, 0.05f * (expected.Max() - expected.Min())));
            AssertAgree(y, plan.Run(x).Outputs["y"].ToArray(), graph.QParamsOf("y")!, 0.99);
        }
    }

    /// <summary>ONNX Runtime's embedding layer: its tables are stored as integers, in either form.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void EmbeddingLayer(bool segments)
    {
        NodeProto embed = Nodes.Create("EmbedLayerNormalization", "op", ["ids", segments ? "segments" : "", "words", "positions", segments ? "segment" : "", "gamma", "beta"],
            ["e", "mask"]);
        embed.Domain = "com.microsoft";
        AttributeProto toInt = Nodes.Attribute("to", (long)TensorProto.Types.DataType.Int32);
        List<NodeProto> nodes = [Nodes.Create("Cast", "cast", ["x"], ["ids"], toInt), embed, Nodes.Create("MatMul", "m", ["e", "square"], ["y"])];
        if (segments)
            nodes.Insert(0, Nodes.Create("Greater", "gt", ["x", "nine"], ["late"]));
        if (segments)
            nodes.Insert(1, Nodes.Create("Cast", "cast2", ["late"], ["segments"], toInt.Clone()));
        OnnxModel model = TestModels.Graph(["N", 6], nodes,
            [.. Constants, TestModels.Weight("words", 20, 30, 16), TestModels.Weight("positions", 21, 6, 16), TestModels.Weight("segment", 22, 2, 16), TestModels.Weight("gamma", 23, 16), TestModels.Weight("beta", 24, 16)], ["y"]);
        model.Proto.OpsetImport.Add(new OperatorSetIdProto { Domain = "com.microsoft", Version = 1 });
        Tensor x = new(new[] { 2, 6 }, new[] { 0f, 7f, 29f, 3f, 3f, 11f, 5f, 1f, 12f, 20f, 28f, 2f });
        using Calibrator calibrator = new(model, QConfigPresets.Get("onnxruntime"));
        calibrator.Observe(x);
        QuantizedGraph graph = ModelQuantizer.Quantize(calibrator.Finish());
        Assert.True(graph.Nodes.Single(n => n.Name == "op").IsQuantized);
        OnnxModel qdq = QdqExporter.Export(graph).Model, integer = QOperatorExporter.Export(graph).Model;
        Assert.Contains("QEmbedLayerNormalization", integer.Proto.Graph.Node.Select(n => n.OpType));
        Assert.DoesNotContain(qdq.Proto.Graph.Initializer, t => t.Name == "words");
        using OnnxRuntimeSession real = new(model), pairs = new(qdq), integers = new(integer);
        using Int8Plan plan = new(graph);
        float[] expected = real.Run(x)["y"].ToArray(), a = pairs.Run(x)["y"].ToArray();
        Assert.All(expected.Zip(a), v => Assert.Equal(v.First, v.Second, 0.06f * (expected.Max() - expected.Min())));
        AssertAgree(a, integers.Run(x)["y"].ToArray(), graph.QParamsOf("y")!, 0.999);
        AssertAgree(a, plan.Run(x).Outputs["y"].ToArray(), graph.QParamsOf("y")!, 0.99);
    }

    /// <summary>Networks as a whole, on images: both forms give the same classes and values.</summary>
    [Theory]
    [InlineData("fmnist-resnet8", "x86")]
    [InlineData("fmnist-mobile", "onnxruntime")]
    [InlineData("fmnist-mobile-bn", "onnxruntime_s8s8")]
    public void NetworksInBothForms(string network, string preset)
    {
        QuantizedGraph graph = ModelQuantizer.Quantize(Workflow.Calibrate(TestData.Network(network), Workflow.ConfigOf(preset), 64));
        OnnxModel qdq = QdqExporter.Export(graph).Model, integer = QOperatorExporter.Export(graph).Model;
        Assert.Contains("QLinearConv", integer.Proto.Graph.Node.Select(n => n.OpType));
        Assert.DoesNotContain("Conv", integer.Proto.Graph.Node.Select(n => n.OpType));
        Assert.Equal("", StandardError.Of(() => new OnnxRuntimeSession(integer, settings: new SessionSettings { Warnings = true }).Dispose()));
        using OnnxRuntimeSession pairs = new(qdq), integers = new(integer);
        QParams p = graph.QParamsOf("logits")!;
        foreach (Tensor batch in TestData.Batches(TestData.TestImages, 100, 300))
            AssertAgree(pairs.Run(batch)["logits"].ToArray(), integers.Run(batch)["logits"].ToArray(), p, 0.999);
    }

    [Theory]
    [InlineData("fmnist-resnet8-bn", "x86")]
    [InlineData("fmnist-mobile", "onnxruntime")]
    public void CheckerAcceptsTheFile(string network, string preset)
    {
        QuantizedGraph graph = ModelQuantizer.Quantize(Workflow.Calibrate(TestData.Network(network), Workflow.ConfigOf(preset), 64));
        OnnxChecker.Check(QOperatorExporter.Export(graph).Model);
    }

    /// <summary>All operators at once.</summary>
    [Fact]
    public void CheckerAcceptsEveryOperatorInBothForms()
    {
        OnnxChecker.SkipIfMissing();
        OnnxChecker.Check(Cases.SelectMany(c =>
        {
            QuantizedGraph graph = Quantize(ModelOf(c.Value), QConfigPresets.Get("onnxruntime"));
            return new[] { (c.Key + "-qdq", QdqExporter.Export(graph).Model), (c.Key + "-qoperator", QOperatorExporter.Export(graph).Model) };
        }));
    }

    /// <summary>At most a step apart, and that seldom.</summary>
    private static void AssertAgree(float[] a, float[] b, QParams p, double share)
    {
        Assert.Equal(a.Length, b.Length);
        float step = p.Scales[0];
        int within = a.Zip(b).Count(v => Math.Abs(v.First - v.Second) <= 1.01f * step);
        Assert.True(within >= share * a.Length, $"{within} of {a.Length} within a step; the largest difference is {a.Zip(b).Max(v => Math.Abs(v.First - v.Second)) / step} steps");
    }

    private static Case One(string op, string[] inputs, string qdq, string? integer, params AttributeProto[] attributes) =>
        new([Nodes.Create(op, "op", inputs, ["y"], attributes)], qdq, integer);

    private static OnnxModel ModelOf(Case c)
    {
        NodeProto[] before =
        [
            Nodes.Create("Conv", "c", ["x", "w", "b"], ["h"], Nodes.Attribute("pads", [1, 1, 1, 1])),
            Nodes.Create("Conv", "c2", ["x", "w2"], ["h2"], Nodes.Attribute("pads", [1, 1, 1, 1])),
            Nodes.Create("Reshape", "to16", ["h", "to16"], ["m"]),
        ];
        HashSet<string> used = [.. c.Nodes.SelectMany(n => n.Input)];
        if (used.Contains("m"))
            used.Add("h");
        NodeProto[] nodes = [.. before.Where(n => used.Contains(n.Output[0])).Select(n => n.Clone()), .. c.Nodes.Select(n => n.Clone())];
        HashSet<string> taken = [.. nodes.SelectMany(n => n.Input)];
        OnnxModel model = TestModels.Graph(["N", 3, 8, 8], nodes, Constants.Where(t => taken.Contains(t.Name)), ["y"]);
        // The checker asks for a shape.
        int rank = ValueTypes.Infer(model)["y"]!.Rank;
        model.Proto.Graph.Output[0] = QuantPS.Onnx.Model.Nodes.Value("y", TensorProto.Types.DataType.Float, new object?[rank]);
        return model;
    }

    private static QuantizedGraph Quantize(OnnxModel model, QConfig config)
    {
        // Without passes, which would make a constant factor or summand part of the layer before.
        using Calibrator calibrator = new(model, config, passes: []);
        for (int seed = 5; seed < 8; seed++)
            calibrator.Observe(TestModels.Random(seed, 2, 3, 8, 8));
        return ModelQuantizer.Quantize(calibrator.Finish());
    }

    private static string[] OptimizedOperators(OnnxModel model)
    {
        using TempFile file = new();
        using (new OnnxRuntimeSession(model, settings: new SessionSettings { OptimizedModelPath = file.Path }))
            return [.. OnnxModel.Load(file.Path).Graph.Nodes.Select(n => n.OpType)];
    }
}
