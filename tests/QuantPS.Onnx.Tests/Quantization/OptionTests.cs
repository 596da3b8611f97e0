using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Layers;
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
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Tests.Quantization;

/// <summary>quantize_static's options, each decided after one and the same calibration.</summary>
public class OptionTests
{
    private static readonly Lazy<OnnxModel> Net = new(() => TestModels.Graph(["N", 3, 8, 8],
        [
            Nodes.Create("Conv", "c1", ["x", "w1", "b1"], ["a"], Nodes.Attribute("pads", [1, 1, 1, 1])),
            Nodes.Create("Relu", "r1", ["a"], ["ar"]),
            Nodes.Create("MaxPool", "pool", ["ar"], ["p"], Nodes.Attribute("kernel_shape", [2, 2]), Nodes.Attribute("strides", [2, 2])),
            Nodes.Create("Conv", "c2", ["p", "w2", "b2"], ["b"], Nodes.Attribute("pads", [1, 1, 1, 1])),
            Nodes.Create("Add", "add", ["b", "p"], ["s"]),
            Nodes.Create("Clip", "clip", ["s", "low", "high"], ["k"]),
            Nodes.Create("Flatten", "flat", ["k"], ["f"]),
            Nodes.Create("Gemm", "fc", ["f", "w3", "b3"], ["y"]),
        ],
        [
            TestModels.Weight("w1", 1, 4, 3, 3, 3), TestModels.Weight("b1", 2, 4), TestModels.Weight("w2", 3, 4, 4, 3, 3), TestModels.Weight("b2", 4, 4),
            TestModels.Weight("w3", 5, 64, 6), TestModels.Weight("b3", 6, 6), TensorProtos.Create("low", [-1f], []), TensorProtos.Create("high", [2.5f], []),
        ], ["y"], opset: 13));

    private static readonly Lazy<CalibrationData> Ort = new(() => Calibrate("onnxruntime")), Torch = new(() => Calibrate("x86"));

    /// <summary>Seen in calibration, so that nothing saturates.</summary>
    private static Tensor X => TestModels.Random(20, 4, 3, 8, 8);

    public static TheoryData<string> Backends => ["onnxruntime", "x86"];

    [Fact]
    public void OptionsThatSayNothingChangeNothing()
    {
        foreach (CalibrationData c in (CalibrationData[])[Ort.Value, Torch.Value])
        {
            byte[] plain = QdqExporter.Export(ModelQuantizer.Quantize(c)).Model.ToBytes();
            Assert.Equal(plain, QdqExporter.Export(ModelQuantizer.Quantize(c, options: new QuantizeOptions())).Model.ToBytes());
        }
    }

    [Fact]
    public void OperatorTypesAndNodesByPattern()
    {
        Assert.Equal(["add", "clip", "flat", "fc"], FloatOf(new() { OpTypes = ["Conv", "Max*"] }));
        Assert.Equal(["pool", "add", "clip", "flat"], FloatOf(new() { Nodes = ["c?", "fc"] }));
        Assert.Equal(["c2", "add", "clip", "flat"], FloatOf(new() { ExcludedNodes = ["C2", "add"] }));
        Assert.Equal(["add", "clip", "flat"], FloatOf(new() { ExcludedOpTypes = ["add"] }));

        // Excluded, the Relu must be told before calibration: what goes into it was not observed.
        QuantizedGraph graph = Quantize(new() { ExcludedNodes = ["r1"] });
        Assert.Contains("'a' was not observed", graph.FloatNodes.Single(n => n.Name == "c1").Reason);
        Assert.Contains("1 layers stay float, 'c1' (Conv) among them", Assert.Single(graph.Warnings));
        AssertRuns(graph, 0.1f);
    }

    /// <summary>The Add of a constant is the product's bias unless it is excluded, for which calibration watches what is between.</summary>
    [Fact]
    public void AddsBehindProductsCanBeExcludedAfterCalibration()
    {
        OnnxModel model = TestModels.Graph(["N", 5, 16], [Nodes.Create("MatMul", "m", ["x", "w"], ["p"]), Nodes.Create("Add", "bias", ["p", "b"], ["q"]), Nodes.Create("MatMul", "m2", ["q", "w2"], ["y"])],
            [TestModels.Weight("w", 1, 16, 12), TestModels.Weight("b", 2, 12), TestModels.Weight("w2", 3, 12, 7)], ["y"], opset: 13);
        using Calibrator calibrator = new(model, QConfigPresets.Get("onnxruntime"));
        Tensor x = TestModels.Random(21, 3, 5, 16);
        calibrator.Observe(x);
        CalibrationData data = calibrator.Finish();
        Assert.Empty(ModelQuantizer.Quantize(data).FloatNodes);

        QuantizedGraph graph = ModelQuantizer.Quantize(data, options: new() { ExcludedOpTypes = ["Add"] });
        Assert.Equal(["bias"], graph.FloatNodes.Select(n => n.Name));
        Assert.Empty(graph.Warnings);
        OnnxModel file = QdqExporter.Export(graph).Model;
        using OnnxRuntimeSession real = new(model), pairs = new(file);
        using ModelPlan plan = new(file);
        float[] expected = real.Run(x)["y"].ToArray(), a = pairs.Run(x)["y"].ToArray(), b = ((Tensor)plan.Run(x)["y"]).ToArray();
        float range = expected.Max() - expected.Min();
        Assert.All(expected.Zip(a), v => Assert.Equal(v.First, v.Second, 0.03f * range));
        Assert.All(expected.Zip(b), v => Assert.Equal(v.First, v.Second, 0.03f * range));
    }

    [Fact]
    public void PatternsThatMatchNothingAreErrorsWithSuggestions()
    {
        QuantException e = Assert.Throws<QuantException>(() => Quantize(new() { ExcludedNodes = ["cc2"] }));
        Assert.Equal(ErrorIds.LayerNotFound, e.ErrorId);
        Assert.Contains("nearest: c2, c1", e.Message);
        Assert.Contains("Conv", Assert.Throws<QuantException>(() => Quantize(new() { OpTypes = ["Cnov"] })).Message);
        // A type that this model does not have, but others may.
        Assert.Equal(["pool", "add", "clip", "flat", "fc"], FloatOf(new() { OpTypes = ["Conv", "Softmax"] }));
        Assert.Equal(ErrorIds.LayerNotFound, Assert.Throws<QuantException>(() => Quantize(new() { Tensors = new Dictionary<string, TensorOverride> { ["w4"] = new() { DType = QDType.QUInt8 } } })).ErrorId);
        Assert.Contains("'ar'", Assert.Throws<QuantException>(() => Quantize(new() { Tensors = new Dictionary<string, TensorOverride> { ["p"] = new() { Symmetric = true } } })).Message);
    }

    [Theory]
    [MemberData(nameof(Backends))]
    public void WeightsPerChannelReducedAsymmetricAndOfOtherTypes(string backend)
    {
        QuantizedGraph channels = Quantize(new() { PerChannel = true }, backend), one = Quantize(new() { PerChannel = false }, backend);
        Assert.All(channels.Layers, l => Assert.Equal(l.OutputChannels, l.Weight.QParams.Scales.Length));
        Assert.All(one.Layers, l => Assert.Equal(1, l.Weight.QParams.Scales.Length));
        QuantizedGraph reduced = Quantize(new() { ReduceRange = true }, backend);
        Assert.All(reduced.Layers, l => Assert.InRange(l.Weight.SBytes.ToArray().Max(v => Math.Abs((int)v)), 62, 64));
        QuantizedGraph asymmetric = Quantize(new() { SymmetricWeights = false, PerChannel = false }, backend);
        Assert.Contains(asymmetric.Layers, l => l.Weight.QParams.ZeroPoints[0] != 0);
        foreach (QuantizedGraph graph in (QuantizedGraph[])[channels, one, reduced, asymmetric])
            AssertRuns(graph, 0.05f);
        QuantizedGraph unsigned = Quantize(new() { WeightType = QDType.QUInt8, PerChannel = false }, backend);
        Assert.Equal(DataType.Uint8, Initializer(QdqExporter.Export(unsigned).Model, "w2_quantized").Type());
        Assert.Contains("QLinearConv", QOperatorExporter.Export(unsigned).Model.Proto.Graph.Node.Select(n => n.OpType));
        AssertRuns(unsigned, 0.05f);
    }

    [Theory]
    [InlineData(QDType.QInt4, 0.35f, 13)]
    [InlineData(QDType.QUInt4, 0.35f, 21)]
    [InlineData(QDType.QInt16, 0.05f, 13)]
    [InlineData(QDType.QUInt16, 0.05f, 21)]
    public void WeightsOfFourAndSixteenBits(QDType dtype, float tolerance, int opset)
    {
        QuantizedGraph graph = Quantize(new() { WeightType = dtype, PerChannel = true }, "onnxruntime", opset);
        Assert.Empty(graph.Layers);
        OnnxModel file = AssertRuns(graph, tolerance);
        Assert.Equal(opset, file.Opset);
        Assert.Equal(Enum.Parse<DataType>(dtype.ToString()[1..], ignoreCase: true), Initializer(file, "w2_quantized").Type());
        // Below opset 21 the types are ONNX Runtime's own.
        Assert.Equal(opset < 21 ? "com.microsoft" : "", file.Proto.Graph.Node.First(n => n.OpType == "DequantizeLinear").Domain);
    }

    [Theory]
    [InlineData("onnxruntime", QDType.QUInt16)]
    [InlineData("onnxruntime", QDType.QInt16)]
    [InlineData("x86", QDType.QUInt16)]
    public void ActivationsOfSixteenBitsLeaveTheErrorOfTheWeights(string backend, QDType dtype)
    {
        QuantizedGraph wide = Quantize(new() { ActivationType = dtype, WeightType = QDType.QInt16 }, backend);
        Assert.Equal(dtype, wide.QParamsOf("y")!.DType);
        AssertRuns(wide, 0.002f);
    }

    [Theory]
    [MemberData(nameof(Backends))]
    public void SignedAndSymmetricActivations(string backend)
    {
        // ONNX Runtime's products of signed values saturate on processors without VNNI, but for weights of one bit less.
        QuantizedGraph graph = Quantize(new() { ActivationType = QDType.QInt8, SymmetricActivations = true, ReduceRange = true }, backend);
        Assert.All((string[])["x", "ar", "b", "k", "y"], v => Assert.Equal((QDType.QInt8, 0), (graph.QParamsOf(v)!.DType, graph.QParamsOf(v)!.ZeroPoints[0])));
        AssertRuns(graph, 0.05f);
    }

    [Fact]
    public void MinimumRealRange()
    {
        QuantizedGraph plain = Quantize(new()), wide = Quantize(new() { MinimumRealRange = 1000f });
        Assert.True(plain.QParamsOf("y")!.Scales[0] < 1);
        Assert.Equal(1000f / 255f, wide.QParamsOf("y")!.Scales[0], 1e-5f);
        // Of one bit less.
        Assert.Equal(1000f / 127f, Quantize(new() { MinimumRealRange = 1000f }, "x86").QParamsOf("b")!.Scales[0], 1e-5f);
    }

    [Fact]
    public void OverridesOfTensors()
    {
        QuantizedGraph graph = Quantize(new()
        {
            Tensors = new Dictionary<string, TensorOverride>
            {
                ["ar"] = new() { Scale = [0.03125f], ZeroPoint = [7] },
                ["k"] = new() { Min = [-2f], Max = [3f] },
                ["w1"] = new() { Axis = 0, Symmetric = false },
                ["w2"] = new() { DType = QDType.QUInt8 },
            },
        });
        Assert.Equal((0.03125f, 7), (graph.QParamsOf("p")!.Scales[0], graph.QParamsOf("p")!.ZeroPoints[0]));
        Assert.Equal((5f / 255f, 102), (graph.QParamsOf("k")!.Scales[0], graph.QParamsOf("k")!.ZeroPoints[0]));
        Assert.Equal(4, graph.Layers.Single(l => l.Name == "c1").Weight.QParams.Scales.Length);
        Assert.Equal(DataType.Uint8, Initializer(QdqExporter.Export(graph).Model, "w2_quantized").Type());
        AssertRuns(graph, 0.08f);
    }

    [Fact]
    public void ConvertedForSomeConsumers()
    {
        QuantizedGraph graph = Quantize(new()
        {
            Tensors = new Dictionary<string, TensorOverride> { ["b"] = new() { DType = QDType.QUInt16, Convert = new() { DType = QDType.QUInt8 }, ConvertFor = ["add"] } },
        });
        Assert.Equal(QDType.QUInt16, graph.QParamsOf("b")!.DType);
        OnnxModel file = AssertRuns(graph, 0.05f);
        NodeProto add = file.Graph.Nodes.Single(n => n.Name == "add");
        // Through 16 bits to 8.
        NodeProto narrow = file.Graph.Producer(add.Input[0])!, back = file.Graph.Producer(file.Graph.Producer(narrow.Input[0])!.Input[0])!;
        Assert.Equal((DataType.Uint8, DataType.Uint16), (file.Graph.ConstantInput(narrow, 2)!.Type(), file.Graph.ConstantInput(back, 2)!.Type()));
        QuantException e = Assert.Throws<QuantException>(() => Quantize(new() { Tensors = new Dictionary<string, TensorOverride> { ["b"] = new() { Convert = new() { DType = QDType.QUInt8 } } } }));
        Assert.Contains("already has", e.Message);
    }

    [Fact]
    public void OverridesThatContradictThemselves()
    {
        TensorOverride[] wrong =
        [
            new() { Scale = [1f] }, new() { Scale = [1f], ZeroPoint = [0, 0] }, new() { Min = [0f] }, new() { Axis = 1 }, new() { ReduceRange = true },
            new() { Scale = [1f], ZeroPoint = [0], Symmetric = true }, new() { Scale = [1f], ZeroPoint = [0], Min = [0f], Max = [1f] },
        ];
        Assert.All(wrong, w => Assert.Equal(ErrorIds.InvalidArgument,
            Assert.Throws<QuantException>(() => Quantize(new() { Tensors = new Dictionary<string, TensorOverride> { ["ar"] = w } })).ErrorId));
    }

    [Fact]
    public void PairsOfTheirOwn()
    {
        int shared = Count(new(), "QuantizeLinear"), dedicated = Count(new() { DedicatedPairs = true }, "QuantizeLinear");
        // "p" goes to the convolution and to the addition.
        Assert.Equal(shared + 1, dedicated);
        AssertRuns(Quantize(new() { DedicatedPairs = true }), 0.05f);
    }

    [Fact]
    public void ActivationsStayInTheFile()
    {
        Assert.DoesNotContain("Relu", Operators(new()));
        Assert.Contains("Relu", Operators(new() { KeepActivations = true }));
        AssertRuns(Quantize(new() { KeepActivations = true }), 0.05f);
    }

    [Fact]
    public void FloatOutputsWeightPairsFloatBiasAndContribOperators()
    {
        QuantizedGraph gemm = Quantize(new() { FloatOutputs = ["Gemm"] });
        OnnxModel file = AssertRuns(gemm, 0.05f);
        Assert.Equal("Gemm", file.Graph.Producer("y")!.OpType);
        Assert.Null(gemm.QParamsOf("y"));

        file = AssertRuns(Quantize(new() { PairedWeights = true }), 0.05f);
        Assert.Equal("QuantizeLinear", file.Graph.Producer(file.Graph.Producer(file.Graph.Nodes.Single(n => n.Name == "c2").Input[1])!.Input[0])!.OpType);
        Assert.Equal(DataType.Float, Initializer(file, "w2").Type());

        file = AssertRuns(Quantize(new() { QuantizeBias = false }), 0.05f);
        Assert.Equal("b2", file.Graph.Nodes.Single(n => n.Name == "c2").Input[2]);

        file = AssertRuns(Quantize(new() { ContribOperators = true }), 0.05f);
        Assert.All(file.Proto.Graph.Node.Where(n => n.OpType is "QuantizeLinear" or "DequantizeLinear"), n => Assert.Equal("com.microsoft", n.Domain));
    }

    [Fact]
    public void ProductsOfActivationsStayFloatWhereWanted()
    {
        OnnxModel model = TestModels.Graph(["N", 6, 6], [Nodes.Create("MatMul", "m", ["x", "w"], ["a"]), Nodes.Create("MatMul", "mm", ["a", "a"], ["y"])], [TestModels.Weight("w", 1, 6, 6)], ["y"]);
        using Calibrator calibrator = new(model, QConfigPresets.Get("onnxruntime"));
        calibrator.Observe(TestModels.Random(3, 2, 6, 6));
        CalibrationData data = calibrator.Finish();
        Assert.Empty(ModelQuantizer.Quantize(data).FloatNodes);
        Assert.Equal(["mm"], ModelQuantizer.Quantize(data, options: new() { ConstantMatMulOnly = true }).FloatNodes.Select(n => n.Name));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void ScalesGrowForBiasesBeyondInt32(bool perChannel)
    {
        Tensor weight = new(new[] { 2, 1, 1, 1 }, new[] { 1e-9f, perChannel ? 1f : 2e-9f });
        OnnxModel model = ModelBuilder.Conv2d(weight, [100f, 1f], new ConvGeometry([1, 1]));
        using Calibrator calibrator = new(model, QConfigPresets.Get("onnxruntime"));
        calibrator.Observe(TestModels.Random(3, 1, 1, 4, 4));
        CalibrationData data = calibrator.Finish();
        QuantizedGraph adjusted = ModelQuantizer.Quantize(data, options: new() { PerChannel = perChannel });
        QuantizedGraph saturated = ModelQuantizer.Quantize(data, options: new() { PerChannel = perChannel, AdjustWeightScale = false });
        using OnnxRuntimeSession good = new(QdqExporter.Export(adjusted).Model), bad = new(QdqExporter.Export(saturated).Model);
        Tensor x = TestModels.Random(4, 1, 1, 4, 4);
        Assert.All(good.Run(x)["output"].Span[..16].ToArray(), v => Assert.Equal(100f, v, 0.5f));
        Assert.All(bad.Run(x)["output"].Span[..16].ToArray(), v => Assert.True(v < 90));
    }

    /// <summary>Repeating with other options costs no data and next to no time, in whichever order.</summary>
    /// <summary>Scales along another dimension than the output channels': the bias then stays float, and both forms compute in float.</summary>
    [Theory]
    [MemberData(nameof(Backends))]
    public void ChannelsAlongAnotherAxis(string backend)
    {
        foreach (QuantizeOptions options in (QuantizeOptions[])[new() { PerChannel = true, ChannelAxes = new Dictionary<string, int> { ["Conv"] = 1, ["Gemm"] = -2 } },
            new() { PerChannel = true, Tensors = new Dictionary<string, TensorOverride> { ["w1"] = new() { Axis = 1 }, ["w2"] = new() { Axis = -3 }, ["w3"] = new() { Axis = 0 } } }])
        {
            QuantizedGraph graph = Quantize(options, backend);
            Assert.Equal([3, 4, 64], graph.Nodes.SelectMany(n => n.Weights.Values).Select(w => w.QParams.Scales.Length));
            OnnxModel qdq = AssertRuns(graph, 0.1f);
            Assert.Equal([1L, 1L, 0L], qdq.Proto.Graph.Node.SelectMany(n => n.Attribute).Where(a => a.Name == "axis").Select(a => a.I));
            Assert.Equal(["b1", "b2", "b3"], qdq.Proto.Graph.Initializer.Select(t => t.Name).Where(n => n is "b1" or "b2" or "b3").Order(StringComparer.Ordinal));
            // The checker asks for a shape.
            qdq.Proto.Graph.Output[0] = Nodes.Value("y", DataType.Float, [null, null]);
            if (OnnxChecker.IsInstalled)
                OnnxChecker.Check(qdq);
        }
        // Without scales per channel it means nothing.
        QuantizeOptions plain = new() { PerChannel = false };
        Assert.Equal(QdqExporter.Export(Quantize(plain)).Model.ToBytes(),
            QdqExporter.Export(Quantize(plain with { ChannelAxes = new Dictionary<string, int> { ["Conv"] = 1 } })).Model.ToBytes());
        QuantException e = Assert.Throws<QuantException>(() => Quantize(new() { PerChannel = true, ChannelAxes = new Dictionary<string, int> { ["Conv"] = 4 } }));
        Assert.Equal(ErrorIds.InvalidArgument, e.ErrorId);
        Assert.Contains("'c1'", e.Message);
        Assert.Equal(ErrorIds.LayerNotFound, Assert.Throws<QuantException>(() => Quantize(new() { ChannelAxes = new Dictionary<string, int> { ["Konv"] = 1 } })).ErrorId);
    }

    /// <summary>What only moves values, behind a value that nobody else quantizes.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void DataMovementBehindFloat(bool force)
    {
        OnnxModel model = TestModels.Graph(["N", 3, 8, 8],
            [
                Nodes.Create("Sin", "sin", ["x"], ["s"]),
                Nodes.Create("MaxPool", "pool", ["s"], ["p"], Nodes.Attribute("kernel_shape", [2, 2])),
                Nodes.Create("Transpose", "turn", ["p"], ["t"], Nodes.Attribute("perm", [0, 1, 3, 2])),
                Nodes.Create("Cos", "cos", ["t"], ["u"]),
                Nodes.Create("Conv", "c", ["u", "w"], ["y"]),
            ], [TestModels.Weight("w", 1, 4, 3, 3, 3)], ["y"]);
        using Calibrator calibrator = new(model, QConfigPresets.Get("onnxruntime") with { ForceQuantize = force });
        calibrator.Observe(X);
        CalibrationData calibration = calibrator.Finish();
        foreach (QuantizeOptions? options in (QuantizeOptions?[])[null, new() { PerChannel = true }])
        {
            QuantizedGraph graph = ModelQuantizer.Quantize(calibration, options: options);
            Assert.Equal(force ? ["sin", "cos"] : ["sin", "pool", "turn", "cos"], graph.FloatNodes.Select(n => n.Name));
            OnnxModel qdq = QdqExporter.Export(graph).Model, integer = QOperatorExporter.Export(graph).Model;
            using OnnxRuntimeSession real = new(model), pairs = new(qdq), integers = new(integer);
            using Int8Plan plan = new(graph);
            float[] expected = real.Run(X)["y"].ToArray(), a = pairs.Run(X)["y"].ToArray();
            float range = expected.Max() - expected.Min(), step = graph.QParamsOf("y")!.Scales[0];
            Assert.All(expected.Zip(a), v => Assert.Equal(v.First, v.Second, 0.05f * range));
            Assert.All(a.Zip(integers.Run(X)["y"].ToArray()), v => Assert.Equal(v.First, v.Second, 1.01f * step));
            Assert.All(a.Zip(plan.Run(X).Outputs["y"].ToArray()), v => Assert.Equal(v.First, v.Second, 1.01f * step));
            // Pool and Transpose share the scale of what comes in.
            Assert.Equal(force, graph.QParamsOf("s") is not null && ReferenceEquals(graph.QParamsOf("s"), graph.QParamsOf("t")));
        }
        // A file keeps it.
        using MemoryStream file = new();
        CalibrationFile.Write(calibration, file);
        Assert.Equal(calibration.QConfig, CalibrationFile.Read(file.ToArray(), model, "file").QConfig);
    }

    /// <summary>A body of control flow stays as it is, also where it takes a value that is quantized.</summary>
    [Fact]
    public void BodiesStayFloat()
    {
        GraphProto Body(string op)
        {
            GraphProto body = new() { Name = op };
            body.Node.Add(Nodes.Create(op, "", ["h"], [op + "_out"]));
            body.Output.Add(Nodes.Value(op + "_out", DataType.Float, [null, null, null, null]));
            return body;
        }

        NodeProto branch = Nodes.Create("If", "choose", ["c"], ["i"]);
        branch.Attribute.Add(new AttributeProto { Name = "then_branch", Type = AttributeProto.Types.AttributeType.Graph, G = Body("Neg") });
        branch.Attribute.Add(new AttributeProto { Name = "else_branch", Type = AttributeProto.Types.AttributeType.Graph, G = Body("Abs") });
        OnnxModel model = TestModels.Graph(["N", 3, 8, 8],
            [
                Nodes.Create("Conv", "c1", ["x", "w1"], ["h"]), Nodes.Create("ReduceMax", "max", ["x"], ["m"], Nodes.Attribute("keepdims", 0L)),
                Nodes.Create("Greater", "positive", ["m", "zero"], ["c"]), branch, Nodes.Create("Conv", "c2", ["i", "w2"], ["y"]),
            ], [TestModels.Weight("w1", 1, 4, 3, 3, 3), TestModels.Weight("w2", 3, 4, 4, 3, 3), TensorProtos.Create("zero", [0f], [])], ["y"], opset: 13);
        using Calibrator calibrator = new(model, QConfigPresets.Get("onnxruntime"));
        calibrator.Observe(X);
        QuantizedGraph graph = ModelQuantizer.Quantize(calibrator.Finish());
        Assert.Equal(["max", "positive", "choose"], graph.FloatNodes.Select(n => n.Name));
        using OnnxRuntimeSession real = new(model);
        using Int8Plan plan = new(graph);
        float[] expected = real.Run(X)["y"].ToArray(), ours = plan.Run(X).Outputs["y"].ToArray();
        foreach (OnnxModel file in (OnnxModel[])[QdqExporter.Export(graph).Model, QOperatorExporter.Export(graph).Model])
        {
            Assert.Equal(branch.ToString(), file.Proto.Graph.Node.Single(n => n.OpType == "If").ToString());
            using OnnxRuntimeSession session = new(file);
            float[] y = session.Run(X)["y"].ToArray();
            Assert.All(expected.Zip(y), v => Assert.Equal(v.First, v.Second, 0.05f * (expected.Max() - expected.Min())));
            Assert.All(ours.Zip(y), v => Assert.Equal(v.First, v.Second, 1.01f * graph.QParamsOf("y")!.Scales[0]));
        }
    }

    [Fact]
    public void CalibrationStaysAsItIs()
    {
        byte[] first = QdqExporter.Export(ModelQuantizer.Quantize(Torch.Value)).Model.ToBytes();
        Quantize(new() { ActivationType = QDType.QInt8, ExcludedNodes = ["c2"], SymmetricActivations = true }, "x86");
        Assert.Equal(first, QdqExporter.Export(ModelQuantizer.Quantize(Torch.Value)).Model.ToBytes());
    }

    private static CalibrationData Calibrate(string preset, int opset = 13)
    {
        OnnxModel model = Net.Value.Clone();
        model.Proto.OpsetImport[0].Version = opset;
        QConfig config = QConfigPresets.Get(preset);
        using Calibrator calibrator = new(model, config);
        for (int seed = 20; seed < 24; seed++)
            calibrator.Observe(TestModels.Random(seed, 4, 3, 8, 8));
        return calibrator.Finish();
    }

    private static QuantizedGraph Quantize(QuantizeOptions options, string backend = "onnxruntime", int opset = 13) =>
        ModelQuantizer.Quantize(opset != 13 ? Calibrate(backend, opset) : backend == "x86" ? Torch.Value : Ort.Value, options: options);

    private static string[] FloatOf(QuantizeOptions options)
    {
        QuantizedGraph graph = Quantize(options);
        AssertRuns(graph, 0.1f);
        return [.. graph.FloatNodes.Select(n => n.Name)];
    }

    private static string[] Operators(QuantizeOptions options) => [.. QdqExporter.Export(Quantize(options)).Model.Proto.Graph.Node.Select(n => n.OpType)];

    private static int Count(QuantizeOptions options, string op) => Operators(options).Count(o => o == op);

    private static TensorProto Initializer(OnnxModel model, string name) => model.Proto.Graph.Initializer.Single(t => t.Name == name);

    /// <summary>Both forms and our runtime, close to float and to each other. Gives the QDQ form.</summary>
    private static OnnxModel AssertRuns(QuantizedGraph graph, float tolerance)
    {
        OnnxModel qdq = QdqExporter.Export(graph).Model;
        using OnnxRuntimeSession real = new(Net.Value), pairs = new(qdq), integers = new(QOperatorExporter.Export(graph).Model);
        using Int8Plan plan = new(graph);
        float[] expected = real.Run(X)["y"].ToArray(), a = pairs.Run(X)["y"].ToArray(), b = integers.Run(X)["y"].ToArray(), c = plan.Run(X).Outputs["y"].ToArray();
        float range = expected.Max() - expected.Min(), step = Math.Max(graph.QParamsOf("y")?.Scales[0] ?? 0, range / 255);
        Assert.All(expected.Zip(a), v => Assert.Equal(v.First, v.Second, tolerance * range));
        Assert.All(a.Zip(b), v => Assert.Equal(v.First, v.Second, 1.01f * step));
        Assert.All(a.Zip(c), v => Assert.Equal(v.First, v.Second, 1.01f * step));
        return qdq;
    }
}
