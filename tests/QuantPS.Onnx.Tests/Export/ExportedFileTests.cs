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

namespace QuantPS.Onnx.Tests.Export;

/// <summary>What every exported file has to be: valid, loaded without a warning, the same in both forms.</summary>
public class ExportedFileTests
{
    private const int RandomNetworks = 60;

    /// <summary>The newest operator set that the checker knows, and the first one with 16- and 4-bit types in ONNX's own operators.</summary>
    private const int Checked = 17, Wide = 21;

    private static readonly string[] Presets = ["x86", "fbgemm", "onednn", "qnnpack", "onnxruntime", "onnxruntime_s8s8"];

    /// <summary>Options that change the file, and whether their types need ONNX Runtime's own operators below opset 21, which the checker does not know.</summary>
    private static readonly (string Name, QuantizeOptions? Options, bool IsContrib)[] Options =
    [
        ("default", null, false),
        ("per tensor", new() { PerChannel = false }, false),
        ("float weights behind pairs", new() { PairedWeights = true }, false),
        ("dedicated pairs", new() { DedicatedPairs = true }, false),
        ("activations kept", new() { KeepActivations = true }, false),
        ("float bias", new() { QuantizeBias = false }, false),
        ("convolutions only", new() { OpTypes = ["Conv"] }, false),
        ("contrib", new() { ContribOperators = true }, true),
        ("16 bits", new() { ActivationType = QDType.QUInt16, WeightType = QDType.QInt16 }, true),
        ("4 bits", new() { WeightType = QDType.QInt4 }, true),
    ];

    public static TheoryData<string, int> Networks
    {
        get
        {
            TheoryData<string, int> rows = [];
            foreach (string network in TestData.Networks)
            {
                rows.Add(network, Checked);
                rows.Add(network, Wide);
            }
            return rows;
        }
    }

    /// <summary>Every network, engine, option and form.</summary>
    [Theory]
    [MemberData(nameof(Networks))]
    public void IsValidAndLoadsWithoutWarning(string network, int opset)
    {
        OnnxModel model = InOpset(TestData.Network(network), opset);
        List<(string Name, OnnxModel Model, bool IsContrib)> files = [];
        foreach (string preset in Presets)
        {
            CalibrationData calibration = Workflow.Calibrate(model, Workflow.ConfigOf(preset), 32);
            // What options do does not depend on the engine: one engine of each rule for parameters.
            foreach ((string name, QuantizeOptions? options, bool contrib) in preset is "x86" or "onnxruntime" ? Options : Options[..1])
            {
                QuantizedGraph graph = ModelQuantizer.Quantize(calibration, options: options);
                files.Add(($"{preset}-{name}-qdq", QdqExporter.Export(graph).Model, contrib));
                files.Add(($"{preset}-{name}-qoperator", QOperatorExporter.Export(graph).Model, contrib || name == "float bias"));
            }
        }
        AssertLoadsSilently(files.Select(f => (f.Name, f.Model)));
        Assert.All(files.Where(f => !f.IsContrib), f => Assert.Equal(opset, f.Model.Opset));
        // The rest is not ONNX's own, or too new for the checker.
        if (opset == Checked)
            OnnxChecker.Check(files.Where(f => f.Model.Proto.OpsetImport.All(o => o.Domain.Length == 0)).Select(f => (f.Name, f.Model)));
        TestContext.Current.TestOutputHelper?.WriteLine($"{network}, opset {opset}: {files.Count} files");
    }

    /// <summary>A model with something to warn of does give a warning.</summary>
    [Fact]
    public void WarningsAreHeard()
    {
        OnnxModel odd = TestModels.Conv(3, 4, 3);
        odd.Proto.Graph.Initializer.Add(TensorProtos.Create("useless", [1f], []));
        odd.Invalidate();
        Assert.Contains("useless", Warnings(odd));
    }

    /// <summary>Networks at hand on images, in both forms, on ONNX Runtime and on our runtime.</summary>
    [Fact]
    public void FormsOfNetworksAgree()
    {
        Agreement sum = new();
        foreach (string network in TestData.Networks)
        {
            // An engine for every kind of parameters: full range, reduced range, one scale a weight, ONNX Runtime's own.
            foreach (string preset in (string[])["onednn", "x86", "qnnpack", "onnxruntime"])
            {
                QuantizedGraph graph = ModelQuantizer.Quantize(Workflow.Calibrate(TestData.Network(network), Workflow.ConfigOf(preset), 64));
                sum.Compare(graph, "logits", [.. TestData.Batches(TestData.TestImages, 50, 100)]);
            }
        }
        sum.Report();
    }

    /// <summary>Random networks over all operators, the same way; they are valid and load without a warning too.</summary>
    [Theory]
    [InlineData("onnxruntime")]
    [InlineData("x86")]
    [InlineData("qnnpack")]
    public void FormsOfRandomNetworksAgree(string preset)
    {
        Agreement sum = new();
        List<(string, OnnxModel)> files = [];
        HashSet<string> operators = [];
        for (int seed = 1; seed <= RandomNetworks; seed++)
        {
            OnnxModel model = RandomNetwork.Create(seed, (seed % 3) switch { 0 => Wide, 1 => Checked, _ => 13 });
            using Calibrator calibrator = new(model, QConfigPresets.Get(preset));
            for (int batch = 0; batch < 4; batch++)
                calibrator.Observe(TestModels.Random(100 * seed + batch, 4, 3, 8, 8));
            // Weights of 7 bits: larger pairs saturate in ONNX Runtime on processors without VNNI, and not the same ones in both forms.
            QuantizedGraph graph = ModelQuantizer.Quantize(calibrator.Finish(), options: new QuantizeOptions { ReduceRange = true });
            operators.UnionWith(graph.Nodes.Where(n => n.IsQuantized).Select(n => n.Planned.Node.OpType));
            (OnnxModel qdq, OnnxModel integer) = sum.Compare(graph, "y", [TestModels.Random(seed, 16, 3, 8, 8)]);
            files.Add(($"{seed}-qdq", qdq));
            files.Add(($"{seed}-qoperator", integer));
        }
        AssertLoadsSilently(files);
        if (OnnxChecker.IsInstalled)
            OnnxChecker.Check(files.Where(f => f.Item2.Opset <= Checked && f.Item2.Proto.OpsetImport.All(o => o.Domain.Length == 0)));
        TestContext.Current.TestOutputHelper?.WriteLine($"{operators.Count} operators: {string.Join(", ", operators.Order(StringComparer.Ordinal))}");
        Assert.True(operators.Count > 25, string.Join(", ", operators));
        sum.Report();
    }

    private static OnnxModel InOpset(OnnxModel model, int opset)
    {
        OnnxModel copy = model.Clone();
        copy.Proto.OpsetImport.Single(o => o.Domain.Length == 0).Version = opset;
        copy.Proto.IrVersion = opset >= Wide ? 10 : 8;
        copy.Invalidate();
        return copy;
    }

    private static void AssertLoadsSilently(IEnumerable<(string Name, OnnxModel Model)> files) =>
        Assert.All(files, f => Assert.Equal($"{f.Name}: ", $"{f.Name}: {Warnings(f.Model)}"));

    private static string Warnings(OnnxModel model) =>
        StandardError.Of(() => new OnnxRuntimeSession(model, settings: new SessionSettings { Warnings = true, IntraOpThreads = 1 }).Dispose());

    /// <summary>How many values of an output are the same, or within one unit of its scale.</summary>
    private sealed class Agreement
    {
        private readonly Dictionary<string, (long Same, long Within, long All, double Worst)> counts = [];
        private int models;
        private long distinct;

        /// <summary>Runs a quantized graph in every way there is; gives both files.</summary>
        public (OnnxModel Qdq, OnnxModel Integer) Compare(QuantizedGraph graph, string output, Tensor[] batches)
        {
            OnnxModel qdq = QdqExporter.Export(graph).Model, integer = QOperatorExporter.Export(graph).Model;
            using OnnxRuntimeSession pairs = new(qdq), integers = new(integer);
            using ModelPlan ourPairs = new(qdq), ourIntegers = new(integer);
            using Int8Plan plan = new(graph);
            float step = graph.QParamsOf(output)!.Scales[0];
            models++;
            foreach (Tensor x in batches)
            {
                float[] a = pairs.Run(x)[output].ToArray(), b = integers.Run(x)[output].ToArray();
                distinct += a.Distinct().Count();
                Count("QDQ and QOperator, both by ONNX Runtime", a, b, step);
                Count("QDQ by ONNX Runtime and by us", a, ((Tensor)ourPairs.Run(x)[output]).ToArray(), step);
                Count("QOperator by ONNX Runtime and by us", b, ((Tensor)ourIntegers.Run(x)[output]).ToArray(), step);
                Count("QDQ by ONNX Runtime and the quantized model", a, plan.Run(x).Outputs[output].ToArray(), step);
            }
            return (qdq, integer);
        }

        public void Report()
        {
            foreach ((string what, (long same, long within, long all, double worst)) in counts)
                TestContext.Current.TestOutputHelper?.WriteLine($"{what}: {models} models, {all} values, {same} the same, {all - within} more than a unit apart, at most {worst:0.##}");
            TestContext.Current.TestOutputHelper?.WriteLine($"{distinct} different values");
            Assert.True(distinct > 20 * models, "The outputs hardly vary.");
            (_, long good, long count, _) = counts["QDQ and QOperator, both by ONNX Runtime"];
            Assert.True(good >= 0.999 * count, $"{good} of {count} within a unit.");
            // The engines of PyTorch keep the bias in float, which a file cannot say.
            Assert.All(counts, c => Assert.True(c.Value.Within >= (c.Key.EndsWith("model", StringComparison.Ordinal) ? 0.97 : 0.999) * c.Value.All,
                $"{c.Key}: {c.Value.Within} of {c.Value.All}"));
        }

        private void Count(string what, float[] a, float[] b, float step)
        {
            Assert.Equal(a.Length, b.Length);
            (long same, long within, long all, double worst) = counts.GetValueOrDefault(what);
            foreach ((float x, float y) in a.Zip(b))
            {
                double steps = Math.Abs(x - y) / step;
                same += x == y ? 1 : 0;
                within += steps <= 1.01 ? 1 : 0;
                worst = Math.Max(worst, steps);
            }
            counts[what] = (same, within, all + a.Length, worst);
        }
    }
}
