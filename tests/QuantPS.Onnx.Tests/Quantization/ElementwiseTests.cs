using QuantPS.Engine.Configuration;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Quantization;
using QuantPS.Onnx.Runtime;

namespace QuantPS.Onnx.Tests.Quantization;

/// <summary>Element-wise nodes as one table, and channels brought to like ranges.</summary>
public class ElementwiseTests
{
    /// <summary>A block of PP-LCNetV3 whose channels have very different ranges, and a Swish.</summary>
    internal static readonly Lazy<OnnxModel> Net = new(() =>
    {
        Tensor wide = TestModels.Random(1, 8, 3, 3, 3);
        for (int i = 0; i < wide.Length; i++)
            wide.Span[i] *= MathF.Pow(4, i / 27 % 4 - 2);
        return TestModels.Graph(["N", 3, 8, 8],
            [
                Nodes.Create("Conv", "c1", ["x", "w1", "b1"], ["a"], Nodes.Attribute("pads", [1, 1, 1, 1])),
                Nodes.Create("HardSwish", "hs", ["a"], ["h"]),
                Nodes.Create("Mul", "mul", ["factor", "h"], ["m"]),
                Nodes.Create("Add", "add", ["m", "summand"], ["s"]),
                Nodes.Create("Conv", "c2", ["s", "w2"], ["b"], Nodes.Attribute("pads", [1, 1, 1, 1]), Nodes.Attribute("group", 8L)),
                Nodes.Create("Sigmoid", "sig", ["b"], ["g"]),
                Nodes.Create("Mul", "swish", ["b", "g"], ["t"]),
                Nodes.Create("Conv", "c3", ["t", "w3", "b3"], ["y"]),
            ],
            [
                TensorProtos.Create("w1", wide), TestModels.Weight("b1", 2, 8), TensorProtos.Create("factor", [1.5f], [1]), TensorProtos.Create("summand", [-0.25f], [1]),
                TestModels.Weight("w2", 3, 8, 1, 3, 3), TestModels.Weight("w3", 4, 6, 8, 1, 1), TestModels.Weight("b3", 5, 6),
            ], ["y"], opset: 14);
    });

    internal static Tensor X => TestModels.Random(20, 4, 3, 8, 8);

    public static TheoryData<string> Presets => ["x86", "onednn", "qnnpack"];

    [Fact]
    public void ChainsAreOneNodeEach()
    {
        QuantizedGraph graph = ModelQuantizer.Quantize(Calibrate("x86"), options: new() { EqualizeChannels = false });
        Assert.Equal(["Conv", "HardSwish+Mul+Add", "Conv", "Sigmoid+Mul", "Conv"], graph.Nodes.Select(n => n.OpType));
        Assert.Null(graph.QParamsOf("h"));
        Assert.Null(graph.QParamsOf("m"));
        Assert.Null(graph.QParamsOf("g"));
        // No sums of products are made of it, so that x86 need not spare a bit.
        Assert.InRange(graph.QParamsOf("a")!.Scales[0] / Plain("x86").QParamsOf("a")!.Scales[0], 0.45, 0.6);
        Assert.Equal(["Conv", "HardSwish", "Mul", "Add", "Conv", "Sigmoid", "Mul", "Conv"], Plain("x86").Nodes.Select(n => n.OpType));
    }

    /// <summary>quantize_static quantizes every value; so do we with its preset, unless told otherwise.</summary>
    [Fact]
    public void OnnxRuntimesPresetStaysAsItsToolHasIt()
    {
        CalibrationData calibration = Calibrate("onnxruntime");
        Assert.All(ModelQuantizer.Quantize(calibration).Nodes, n => Assert.Empty(n.Planned.Chain));
        Assert.Contains(ModelQuantizer.Quantize(calibration, options: new() { FuseElementwise = true }).Nodes, n => n.Planned.Chain.Count == 2);
        Assert.Empty(calibration.Channels);
    }

    /// <summary>Every entry of the table is the float function, rounded once; ONNX Runtime's run of the file agrees but for ties.</summary>
    [Theory]
    [MemberData(nameof(Presets))]
    public void ATableIsTheFloatFunctionRoundedOnce(string preset)
    {
        QuantizedGraph graph = ModelQuantizer.Quantize(Calibrate(preset), options: new() { EqualizeChannels = false });
        using Int8Plan plan = new(graph);
        PlanResult run = plan.Run(X, new HashSet<string> { "a", "s", "b", "t" });
        Check("a", "s", x => x * MathF.Min(MathF.Max(x + 3f, 0f), 6f) / 6f * 1.5f + -0.25f);
        Check("b", "t", x => x * (1f / (1f + MathF.Exp(-x))));

        void Check(string from, string to, Func<float, float> function)
        {
            QParams p = graph.QParamsOf(to)!;
            byte[] expected = [.. run.Captured[from].ToArray().Select(v => (byte)Quantizer.QuantizeTorch(function(v), 1f / p.Scales[0], p.ZeroPoints[0], 0, 255))];
            Assert.Equal(expected, run.CapturedIntegers[to].Bytes.ToArray());
        }
    }

    [Theory]
    [MemberData(nameof(Presets))]
    public void EqualizedModelsComputeTheSameInFloat(string preset)
    {
        QuantizedGraph graph = ModelQuantizer.Quantize(Calibrate(preset));
        Assert.Contains(graph.Float.Preparation, p => p.Name == nameof(ChannelEqualization));
        using OnnxRuntimeSession before = new(Net.Value), after = new(graph.Float);
        float[] expected = before.Run(X)["y"].ToArray(), actual = after.Run(X)["y"].ToArray();
        Assert.All(expected.Zip(actual), v => Assert.Equal(v.First, v.Second, 1e-4f * expected.Max()));
    }

    /// <summary>Each of the two takes the int8 model nearer to the float one, in our runtime and in ONNX Runtime.</summary>
    [Theory]
    [MemberData(nameof(Presets))]
    public void EachTakesTheModelNearerToFloat(string preset)
    {
        CalibrationData calibration = Calibrate(preset);
        using OnnxRuntimeSession real = new(Net.Value);
        float[] expected = real.Run(X)["y"].ToArray();
        (double plain, double fused, double both) = (Sqnr(new() { FuseElementwise = false }), Sqnr(new() { EqualizeChannels = false }), Sqnr(new()));
        TestContext.Current.TestOutputHelper?.WriteLine($"{plain:F1} dB, fused {fused:F1} dB, equalized too {both:F1} dB");
        Assert.InRange(fused, plain, 100);
        Assert.InRange(both, fused + 1, 100);

        double Sqnr(QuantizeOptions options)
        {
            QuantizedGraph graph = ModelQuantizer.Quantize(calibration, options: options);
            using TempFile file = new();
            QdqExporter.Export(graph).Model.Save(file.Path);
            using OnnxRuntimeSession exported = new(OnnxModel.Load(file.Path));
            using Int8Plan plan = new(graph);
            (ErrorSums ours, ErrorSums theirs) = (new(), new());
            ours.Add(expected, plan.Run(X).Outputs["y"].Span, "y");
            theirs.Add(expected, exported.Run(X)["y"].Span, "y");
            Assert.Equal(ours.SqnrDb, theirs.SqnrDb, 1.5);
            return ours.SqnrDb;
        }
    }

    /// <summary>The second place of x in x * Sigmoid(x) takes the factors behind the product.</summary>
    [Fact]
    public void SwishIsEqualizedOnBothSides()
    {
        QuantizedGraph graph = ModelQuantizer.Quantize(Calibrate("x86"));
        Assert.Equal(["Conv", "Mul+HardSwish+Mul+Add+Mul", "Conv", "Mul+Sigmoid+Mul+Mul+Mul", "Conv"], graph.Nodes.Select(n => n.OpType));
    }

    /// <summary>A depthwise convolution's channels with ranges far apart and nothing between it and the next convolution are equalized without any element-wise
    /// function, and gain, with a ReLU between too; with like ranges the network stays PyTorch's, to the bit.</summary>
    [Theory]
    [InlineData("x86", 3, false, true)]
    [InlineData("onednn", 3, false, true)]
    [InlineData("x86", 0, false, false)]
    [InlineData("x86", 3, true, true)]
    [InlineData("x86", 0, true, false)]
    [InlineData("onnxruntime", 3, false, false)]
    public void SeparableConvolutionsAreEqualized(string preset, int spread, bool relu, bool expected)
    {
        Tensor depthwise = TestModels.Random(6, 16, 1, 3, 3);
        for (int i = 0; i < depthwise.Length; i++)
            depthwise.Span[i] = (depthwise.Span[i] + 3) * MathF.Pow(2, -(i / 9 % 4) * spread);
        Tensor pointwise = TestModels.Random(7, 8, 16, 1, 1);
        // What comes in small counts as much as the rest.
        for (int i = 0; i < pointwise.Length; i++)
            pointwise.Span[i] *= MathF.Pow(2, i % 4 * spread);
        NodeProto[] between = relu ? [Nodes.Create("Relu", "r", ["d"], ["e"])] : [];
        OnnxModel model = TestModels.Graph(["N", 3, 8, 8],
            [
                Nodes.Create("Conv", "c", ["x", "w1"], ["c"]), Nodes.Create("Relu", "cr", ["c"], ["h"]),
                Nodes.Create("Conv", "dw", ["h", "w2"], ["d"], Nodes.Attribute("group", 16L)), .. between, Nodes.Create("Conv", "pw", [relu ? "e" : "d", "w3"], ["y"]),
            ],
            [TestModels.Weight("w1", 5, 16, 3, 1, 1), TensorProtos.Create("w2", depthwise), TensorProtos.Create("w3", pointwise)], ["y"], opset: 13);
        using Calibrator calibrator = new(model, QConfigPresets.Get(preset));
        calibrator.Observe(X);
        CalibrationData calibration = calibrator.Finish();
        QuantizedGraph graph = ModelQuantizer.Quantize(calibration), plain = ModelQuantizer.Quantize(calibration, options: new() { EqualizeChannels = false });
        Assert.Equal(expected, graph.Float.Preparation.Any(p => p.Name == nameof(ChannelEqualization)));
        if (!expected)
        {
            Assert.All(graph.Layers.Zip(plain.Layers), l => Assert.Equal(l.Second.Weight.Bytes.ToArray(), l.First.Weight.Bytes.ToArray()));
            return;
        }
        using OnnxRuntimeSession real = new(model), after = new(graph.Float);
        float[] y = real.Run(X)["y"].ToArray();
        Assert.All(y.Zip(after.Run(X)["y"].ToArray()), v => Assert.Equal(v.First, v.Second, 1e-4f * y.Max()));
        Assert.InRange(Sqnr(graph), Sqnr(plain) + 6, 100);

        double Sqnr(QuantizedGraph quantized)
        {
            using Int8Plan plan = new(quantized);
            ErrorSums sums = new();
            sums.Add(y, plan.Run(X).Outputs["y"].Span, "y");
            return sums.SqnrDb;
        }
    }

    /// <summary>What the user says of a node or value between is not fused away.</summary>
    [Fact]
    public void WhatTheUserNamesIsNotFused()
    {
        CalibrationData calibration = Calibrate("x86");
        Assert.Equal(["HardSwish"], ChainOf(new() { ExcludedNodes = ["mul"] }));
        Assert.Equal(["HardSwish", "Mul"], ChainOf(new() { FloatOutputs = ["Add"] }));
        Assert.Equal(["HardSwish"], ChainOf(new() { Tensors = new Dictionary<string, TensorOverride> { ["h"] = new() { Min = [-1], Max = [9] } } }));
        Assert.Equal(["HardSwish", "Mul", "Add"], ChainOf(new()));

        string[] ChainOf(QuantizeOptions options) =>
            [.. ModelQuantizer.Quantize(calibration, options: options with { EqualizeChannels = false }).Nodes.Single(n => n.Name == "hs").OpType.Split('+')];
    }

    /// <summary>16-bit activations have no table: the nodes run in float, and the values between still are not rounded.</summary>
    [Fact]
    public void WideTypesRunInFloat()
    {
        QuantizedGraph graph = ModelQuantizer.Quantize(Calibrate("onednn"), options: new() { ActivationType = QDType.QUInt16 });
        using OnnxRuntimeSession real = new(Net.Value);
        using Int8Plan plan = new(graph);
        ErrorSums sums = new();
        sums.Add(real.Run(X)["y"].Span, plan.Run(X).Outputs["y"].Span, "y");
        Assert.InRange(sums.SqnrDb, 35, 100);
    }

    /// <summary>The ranges of channels are in the file and merge, so that a calibration converts to the same wherever it was.</summary>
    [Fact]
    public void ChannelsAreSavedAndMerged()
    {
        CalibrationData calibration = Calibrate("x86"), merged = CalibrationData.Merge([Calibrate("x86"), Calibrate("x86")]);
        Assert.Equal(["a", "b", "s", "t"], calibration.Channels.Keys.Order());
        using MemoryStream stream = new();
        CalibrationFile.Write(calibration, stream);
        CalibrationData read = CalibrationFile.Read(stream.ToArray(), Net.Value, "test");
        byte[] expected = QdqExporter.Export(ModelQuantizer.Quantize(calibration)).Model.ToBytes();
        Assert.Equal(expected, QdqExporter.Export(ModelQuantizer.Quantize(read)).Model.ToBytes());
        foreach (string value in calibration.Channels.Keys)
            Assert.Equal(calibration.Channels[value].MaxValues.ToArray(), merged.Channels[value].MaxValues.ToArray());
    }

    private static QuantizedGraph Plain(string preset) => ModelQuantizer.Quantize(Calibrate(preset), options: new() { FuseElementwise = false });

    internal static CalibrationData Calibrate(string preset)
    {
        using Calibrator calibrator = new(Net.Value, QConfigPresets.Get(preset));
        calibrator.Observe(X);
        return calibrator.Finish();
    }
}
