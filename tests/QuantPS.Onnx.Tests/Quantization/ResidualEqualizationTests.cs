using QuantPS.Engine.Configuration;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Operators;
using QuantPS.Onnx.Quantization;
using QuantPS.Onnx.Runtime;

namespace QuantPS.Onnx.Tests.Quantization;

/// <summary>A few channels of a transformer's residual stream that are tens of times wider than the others, as in BERT behind its feed-forward layers.</summary>
public class ResidualEqualizationTests
{
    private const int Channels = 64, Inner = 96;

    /// <summary>Post-norm, as BERT has it: sum, normalization, and both the next layer and the next sum take the result.</summary>
    [Theory]
    [InlineData("x86")]
    [InlineData("onednn")]
    [InlineData("qnnpack")]
    public void OutlyingChannelsOfASumLeaveTheOthersTheirSteps(string preset)
    {
        (OnnxModel model, Tensor x) = Encoder(outliers: 40);
        CalibrationData calibration = Calibrate(model, x, preset);
        QuantizedGraph graph = ModelQuantizer.Quantize(calibration);
        Assert.Contains(graph.Float.Preparation, p => p.Name == nameof(ResidualEqualization));
        float[] expected = SameFunction(model, graph, x);
        QuantizedGraph plain = ModelQuantizer.Quantize(calibration, options: new() { EqualizeChannels = false, FitWeightScales = true });
        Assert.InRange(Sqnr(graph, x, expected), Sqnr(plain, x, expected) + 8, 100);
        // The sums are within one step now, so that they have no parameters.
        Assert.Equal(4, graph.Nodes.Count(n => n.OpType == "Add+LayerNormalization" && n.IsQuantized));
        Assert.Null(graph.QParamsOf("s1"));
    }

    /// <summary>Nothing is changed, to the bit, without outlying channels, for ONNX Runtime's arithmetic, and where the user does not want it.</summary>
    [Theory]
    [InlineData(1, "x86", null)]
    [InlineData(40, "onnxruntime", null)]
    [InlineData(40, "x86", false)]
    public void OtherNetworksStayAsTheyAre(float outliers, string preset, bool? equalize)
    {
        (OnnxModel model, Tensor x) = Encoder(outliers);
        CalibrationData calibration = Calibrate(model, x, preset);
        QuantizedGraph graph = ModelQuantizer.Quantize(calibration, options: new() { EqualizeChannels = equalize });
        Assert.DoesNotContain(graph.Float.Preparation, p => p.Name == nameof(ResidualEqualization));
        Assert.NotNull(graph.QParamsOf("s1"));
        Assert.Same(calibration.Model, graph.Float);
        Assert.All(graph.Nodes, n => Assert.Empty(n.Planned.Chain));
    }

    /// <summary>Pre-norm: the stream goes on beside the normalization, whose result layers alone take.</summary>
    [Fact]
    public void WhatLayersTakeOfANormalizationIsScaledInItsFactors()
    {
        Tensor gain = Spread(1, 300, Channels);
        (OnnxModel model, Tensor x) = Model(
            [
                Nodes.Create("MatMul", "before", ["x", "w0"], ["s"]), Nodes.Create("LayerNormalization", "norm", ["s", "gain", "offset"], ["n"]),
                Nodes.Create("MatMul", "first", ["n", "w1"], ["a"]), Nodes.Create("MatMul", "second", ["n", "w2"], ["b"]), Nodes.Create("Add", "sum", ["a", "b"], ["y"]),
            ],
            // Every channel counts alike.
            [TestModels.Weight("w0", 5, Channels, Channels), TensorProtos.Create("gain", gain), TestModels.Weight("offset", 2, Channels), Columns("w1", 3, Channels, 8, gain), Columns("w2", 4, Channels, 8, gain)]);
        CalibrationData calibration = Calibrate(model, x, "x86");
        QuantizedGraph graph = ModelQuantizer.Quantize(calibration, options: new() { EqualizeChannels = true });
        float[] expected = SameFunction(model, graph, x);
        QuantizedGraph plain = ModelQuantizer.Quantize(calibration, options: new() { EqualizeChannels = false, FitWeightScales = true });
        Assert.InRange(Sqnr(graph, x, expected), Sqnr(plain, x, expected) + 3, 100);
    }

    /// <summary>Tables of embeddings, added up and normalized: the columns are scaled, all rows of the tables are known, and shapes broadcast.</summary>
    [Fact]
    public void TablesOfEmbeddingsAreScaledByColumns()
    {
        Tensor pressed = new([Channels], Spread(4, 60, Channels).ToArray().Select((v, c) => v / (c % 16 == 3 ? 3600 : 1)).ToArray());
        GraphProto proto = new() { Name = "embeddings" };
        proto.Input.Add(Nodes.Value("ids", TensorProto.Types.DataType.Int64, "N", 6));
        proto.Node.AddRange(
        [
            Nodes.Create("Gather", "word", ["words", "ids"], ["w"]), Nodes.Create("Gather", "kind", ["kinds", "ids"], ["k"]), Nodes.Create("Slice", "first", ["ids", "zero", "one", "zero"], ["f"]),
            Nodes.Create("Gather", "place", ["places", "f"], ["p"]),
            Nodes.Create("Add", "sum1", ["w", "k"], ["wk"]), Nodes.Create("Add", "sum2", ["wk", "p"], ["s"]), Nodes.Create("LayerNormalization", "norm", ["s", "gain", "offset"], ["n"]),
            Nodes.Create("MatMul", "last", ["n", "w1"], ["y"]),
        ]);
        proto.Initializer.AddRange(
        [
            TensorProtos.Create("words", Spread(1, 60, 9, Channels)), TestModels.Weight("kinds", 2, 9, Channels), TensorProtos.Create("places", Spread(3, 60, 9, Channels)),
            TensorProtos.Create("zero", [0L], [1]), TensorProtos.Create("one", [1L], [1]), TensorProtos.Create("gain", pressed), TestModels.Weight("offset", 5, Channels),
            TestModels.Weight("w1", 6, Channels, 8),
        ]);
        proto.Output.Add(Nodes.Value("y", TensorProto.Types.DataType.Float, "N", 6, 8));
        ModelProto file = new() { IrVersion = 8, Graph = proto };
        file.OpsetImport.Add(new OperatorSetIdProto { Version = 17 });
        OnnxModel model = OnnxModel.FromProto(file, "embeddings");
        Tensor ids = new([4, 6], Enumerable.Range(0, 24).Select(i => (float)(i * 5 % 7)).ToArray());
        CalibrationData calibration = Calibrate(model, ids, "x86");
        QuantizedGraph graph = ModelQuantizer.Quantize(calibration, options: new() { EqualizeChannels = true });
        float[] expected = SameFunction(model, graph, ids);
        QuantizedGraph plain = ModelQuantizer.Quantize(calibration, options: new() { EqualizeChannels = false, FitWeightScales = true });
        Assert.InRange(Sqnr(graph, ids, expected), Sqnr(plain, ids, expected) + 5, 100);
        // Words that calibration did not see: nothing of the table is cut off.
        Tensor unseen = new([1, 6], new float[] { 7, 8, 7, 8, 7, 8 });
        using OnnxRuntimeSession session = new(model);
        Assert.InRange(Sqnr(graph, unseen, session.Run(unseen)["y"].ToArray()), 20, 100);
    }

    /// <summary>ONNX Runtime takes both forms of the file without a word and computes what this module does, but for the order of float sums; so does this module's own run of the
    /// file.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void FilesComputeTheSame(bool integers)
    {
        (OnnxModel model, Tensor x) = Encoder(outliers: 40);
        QuantizedGraph graph = ModelQuantizer.Quantize(Calibrate(model, x, "x86"));
        OnnxModel file = (integers ? QOperatorExporter.Export(graph) : QdqExporter.Export(graph)).Model;
        Assert.Equal("", StandardError.Of(() => new OnnxRuntimeSession(file, settings: new SessionSettings { Warnings = true }).Dispose()));
        if (OnnxChecker.IsInstalled)
        {
            OnnxModel described = file.Clone();
            described.Proto.Graph.Output[0] = Nodes.Value("y", TensorProto.Types.DataType.Float, "N", 6, 16);
            OnnxChecker.Check(described);
        }
        using OnnxRuntimeSession session = new(model), theirs = new(file);
        using ModelPlan ours = new(file);
        using Int8Plan own = new(graph);
        float[] expected = session.Run(x)["y"].ToArray(), there = theirs.Run(x)["y"].ToArray();
        ErrorSums same = new(), here = new();
        same.Add(there, ((Tensor)ours.Run(x)["y"]).Span, "y");
        here.Add(there, own.Run(x).Outputs["y"].Span, "y");
        Assert.InRange(same.SqnrDb, 30, double.PositiveInfinity);
        Assert.InRange(here.SqnrDb, 30, double.PositiveInfinity);
        ErrorSums loss = new();
        loss.Add(expected, there, "y");
        Assert.InRange(loss.SqnrDb, 25, 100);
        if (!integers)
            Assert.Equal(4, ours.Layers.Count(l => l.OpType == "Add+LayerNormalization" && l.IsInteger));
    }

    /// <summary>A calibration that was saved knows the channels too.</summary>
    [Fact]
    public void SavedCalibrationsDoTheSame()
    {
        (OnnxModel model, Tensor x) = Encoder(outliers: 40);
        CalibrationData calibration = Calibrate(model, x, "x86");
        using MemoryStream stream = new();
        CalibrationFile.Write(calibration, stream);
        QuantizedGraph graph = ModelQuantizer.Quantize(calibration), again = ModelQuantizer.Quantize(CalibrationFile.Read(stream.ToArray(), model, "memory"));
        Assert.Equal(graph.Plan.Observed, again.Plan.Observed);
        Assert.All(graph.Plan.Observed, v => Assert.Equal(graph.QParamsOf(v)!.ToString(), again.QParamsOf(v)!.ToString()));
    }

    /// <summary>What the user said of a node or tensor holds: that place stays as it is, and others are scaled.</summary>
    [Fact]
    public void WhatTheUserSaidHolds()
    {
        (OnnxModel model, Tensor x) = Encoder(outliers: 40);
        CalibrationData calibration = Calibrate(model, x, "x86");
        QuantizedGraph overridden = ModelQuantizer.Quantize(calibration, options: new() { Tensors = new Dictionary<string, TensorOverride> { ["s1"] = new() { Symmetric = true } } });
        Assert.NotNull(overridden.QParamsOf("s1"));
        Assert.Equal(3, overridden.Nodes.Count(n => n.OpType == "Add+LayerNormalization"));
        SameFunction(model, overridden, x);
        QuantizedGraph excluded = ModelQuantizer.Quantize(calibration, options: new() { ExcludedNodes = ["norm1"] });
        Assert.Contains(excluded.Nodes, n => n is { Name: "norm1", IsQuantized: false });
        SameFunction(model, excluded, x);
        QConfig config = QConfigPresets.Get("x86");
        QuantizedGraph own = ModelQuantizer.Quantize(Calibrate(model, x, config with { Overrides = [new LayerOverride("norm1", config.Activation with { DType = QDType.QInt8 }, config.Weight)] }));
        Assert.Contains(own.Nodes, n => n is { Name: "norm1", IsQuantized: true });
        Assert.Equal(QDType.QInt8, own.QParamsOf("n1")!.DType);
        Assert.Equal(3, own.Nodes.Count(n => n.OpType == "Add+LayerNormalization"));
        SameFunction(model, own, x);
        QuantizedGraph wide = ModelQuantizer.Quantize(calibration, options: new() { ActivationType = QDType.QUInt16 });
        float[] expected = SameFunction(model, wide, x);
        Assert.InRange(Sqnr(wide, x, expected), 30, 100);
    }

    /// <summary>A sum with factors one of whose operands is float stays float, factors and all.</summary>
    [Fact]
    public void AFloatOperandKeepsTheSumFloat()
    {
        (OnnxModel model, Tensor x) = Model(
            [
                Nodes.Create("MatMul", "first", ["x", "w1"], ["a"]), Nodes.Create("Mul", "scale", ["a", "factors"], ["f"]), Nodes.Create("Exp", "exp", ["x"], ["e"]),
                Nodes.Create("Add", "sum", ["f", "e"], ["s"]), Nodes.Create("LayerNormalization", "norm", ["s", "gain"], ["y"]),
            ],
            [TestModels.Weight("w1", 1, Channels, Channels), TestModels.Weight("factors", 2, 1, Channels), TestModels.Weight("gain", 3, Channels)]);
        // Otherwise the factors would be the layer's.
        using Calibrator calibrator = new(model, QConfigPresets.Get("x86"), passes: []);
        calibrator.Observe(x);
        QuantizedGraph graph = ModelQuantizer.Quantize(calibrator.Finish());
        Assert.Equal(["first"], graph.Nodes.Where(n => n.IsQuantized).Select(n => n.Name));
        using OnnxRuntimeSession session = new(model);
        Assert.InRange(Sqnr(graph, x, session.Run(x)["y"].ToArray()), 25, 100);
    }

    /// <summary>Two layers of attention's and feed-forward's kind. With outliers, one channel in 32 of what the feed-forward parts add is that much wider.</summary>
    private static (OnnxModel Model, Tensor X) Encoder(float outliers)
    {
        List<NodeProto> nodes = [];
        List<TensorProto> constants = [];
        string x = Norm("x", 0);
        for (int i = 1; i <= 4; i++)
        {
            bool wide = i % 2 == 1;
            Tensor down = TestModels.Random(10 * i + 1, Inner, Channels), gain = TestModels.Random(10 * i + 2, Channels);
            for (int k = 0; k < down.Length; k++)
                down.Span[k] *= 0.15f * (wide && k % 32 == 5 ? outliers : 1);
            Tensor bias = TestModels.Random(10 * i + 3, Channels);
            constants.AddRange([TestModels.Weight($"up{i}", 10 * i, Channels, Inner), TensorProtos.Create($"down{i}", down), TensorProtos.Create($"bias{i}", bias)]);
            nodes.AddRange(
            [
                Nodes.Create("MatMul", $"up_{i}", [x, $"up{i}"], [$"u{i}"]), Nodes.Create("Relu", $"relu_{i}", [$"u{i}"], [$"r{i}"]), Nodes.Create("MatMul", $"down_{i}", [$"r{i}", $"down{i}"], [$"d{i}"]),
                Nodes.Create("Add", $"bias_{i}", [$"d{i}", $"bias{i}"], [$"b{i}"]), Nodes.Create("Add", $"sum{i}", [$"b{i}", x], [$"s{i}"]),
            ]);
            x = Norm($"s{i}", i);
        }
        constants.Add(TestModels.Weight("w", 99, Channels, 16));
        nodes.Add(Nodes.Create("MatMul", "last", [x, "w"], ["y"]));
        return Model(nodes, constants);

        string Norm(string value, int i)
        {
            // Trained networks press the outlying channels down again here.
            Tensor gain = TestModels.Random(10 * i + 4, Channels);
            for (int k = 0; k < Channels; k++)
                gain.Span[k] = (1 + 0.1f * gain.Span[k]) / (i % 2 == 1 && k % 32 == 5 ? MathF.Sqrt(outliers) : 1);
            constants.AddRange([TensorProtos.Create($"gain{i}", gain), TestModels.Weight($"offset{i}", 10 * i + 5, Channels)]);
            nodes.Add(Nodes.Create("LayerNormalization", $"norm{i}", [value, $"gain{i}", $"offset{i}"], [$"n{i}"]));
            return $"n{i}";
        }
    }

    private static (OnnxModel, Tensor) Model(IEnumerable<NodeProto> nodes, IEnumerable<TensorProto> constants) =>
        (TestModels.Graph(["N", 6, Channels], nodes, constants, ["y"]), TestModels.Random(20, 8, 6, Channels));

    /// <summary>One column in 16 is that much larger.</summary>
    private static Tensor Spread(int seed, float size, params int[] shape)
    {
        Tensor t = TestModels.Random(seed, shape);
        for (int i = 0; i < t.Length; i++)
            t.Span[i] *= i % 16 == 3 ? size : 1;
        return t;
    }

    private static TensorProto Columns(string name, int seed, int rows, int columns, Tensor gain)
    {
        Tensor t = TestModels.Random(seed, rows, columns);
        for (int i = 0; i < t.Length; i++)
            t.Span[i] /= MathF.Max(1, MathF.Abs(gain.Span[i / columns]));
        return TensorProtos.Create(name, t);
    }

    private static CalibrationData Calibrate(OnnxModel model, Tensor x, string preset) => Calibrate(model, x, QConfigPresets.Get(preset));

    private static CalibrationData Calibrate(OnnxModel model, Tensor x, QConfig config)
    {
        using Calibrator calibrator = new(model, config);
        calibrator.Observe(x);
        return calibrator.Finish();
    }

    private static float[] SameFunction(OnnxModel model, QuantizedGraph graph, Tensor x)
    {
        using OnnxRuntimeSession before = new(model), after = new(graph.Float);
        float[] expected = before.Run(x)["y"].ToArray();
        Assert.All(expected.Zip(after.Run(x)["y"].ToArray()), v => Assert.Equal(v.First, v.Second, 1e-4f * expected.Max(MathF.Abs)));
        return expected;
    }

    private static double Sqnr(QuantizedGraph graph, Tensor x, float[] expected)
    {
        using Int8Plan plan = new(graph);
        ErrorSums sums = new();
        sums.Add(expected, plan.Run(x).Outputs["y"].Span, "y");
        return sums.SqnrDb;
    }
}
