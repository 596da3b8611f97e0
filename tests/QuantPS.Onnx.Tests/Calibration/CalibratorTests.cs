using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Observers;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Quantization;

namespace QuantPS.Onnx.Tests.Calibration;

public class CalibratorTests
{
    [Fact]
    public void ObserversSeeWhatTheFloatModelComputes()
    {
        OnnxModel model = TestData.Network("fmnist-resnet8");
        CalibrationData data = Workflow.Calibrate(model, Workflow.MinMaxPerChannel, 96);
        Assert.Equal(96, data.SampleCount);
        Assert.Equal(3, data.BatchCount);
        using OnnxRuntimeSession session = new(model, data.Observers.Keys.Where(v => v != "image"));
        Dictionary<string, (float Min, float Max)> expected = [];
        foreach (Tensor batch in TestData.Batches(TestData.Calibration, 32, 96))
        {
            foreach ((string name, Tensor t) in session.Run(batch).Append(new("image", batch)))
                expected[name] = expected.TryGetValue(name, out var e) ? (Math.Min(e.Min, t.Min()), Math.Max(e.Max, t.Max())) : (t.Min(), t.Max());
        }
        // Behind Relu, after Add; never between a layer and its Relu, nor where integers are passed on.
        Assert.Contains("/Relu_output_0", data.Observers.Keys);
        Assert.DoesNotContain("/c/Conv_output_0", data.Observers.Keys);
        Assert.DoesNotContain("/Flatten_output_0", data.Observers.Keys);
        Assert.All(data.Observers, o =>
        {
            Assert.Equal(expected[o.Key].Min, o.Value.MinValues[0]);
            Assert.Equal(expected[o.Key].Max, o.Value.MaxValues[0]);
            Assert.Equal(3, o.Value.BatchCount);
        });
    }

    [Fact]
    public void BadBatchLeavesNoTrace()
    {
        using Calibrator calibrator = new(TestData.Network("fmnist-mobile"), Workflow.MinMaxPerChannel);
        Tensor good = TestData.Batches(TestData.Calibration, 4).First(), bad = new(good.Shape, good.ToArray()) { Source = "bad.png" };
        calibrator.Observe(good);
        float[] before = Ranges(calibrator.Finish());
        bad.Span[17] = float.NaN;
        QuantException e = Assert.Throws<QuantException>(() => calibrator.Observe(bad));
        Assert.Equal(ErrorIds.NotANumber, e.ErrorId);
        Assert.Contains("17", e.Message);
        Assert.Contains("bad.png", e.Message);
        bad.Span[17] = float.PositiveInfinity;
        Assert.Equal(ErrorIds.NotFinite, Assert.Throws<QuantException>(() => calibrator.Observe(bad)).ErrorId);
        // Finite, but the model overflows on it.
        bad.Span.Fill(3e38f);
        e = Assert.Throws<QuantException>(() => calibrator.Observe(bad));
        Assert.Equal(ErrorIds.NotFinite, e.ErrorId);
        Assert.Equal(ErrorIds.ShapeMismatch, Assert.Throws<QuantException>(() => calibrator.Observe(new Tensor(2, 3, 28, 28))).ErrorId);
        Assert.Equal(4, calibrator.SampleCount);
        Assert.Equal(before, Ranges(calibrator.Finish()));
    }

    [Fact]
    public void SamplesAndBatchesCount()
    {
        using Calibrator calibrator = new(TestData.Network("fmnist-resnet8"), QConfigPresets.Default);
        calibrator.Observe(new Tensor(1, 28, 28));
        calibrator.Observe(new Tensor(5, 1, 28, 28));
        Assert.Equal(6, calibrator.Finish().SampleCount);
        Assert.Equal(2, calibrator.Finish().BatchCount);
    }

    [Fact]
    public void NoDataAtAll()
    {
        using Calibrator calibrator = new(TestData.Network("fmnist-resnet8"), QConfigPresets.Default);
        Assert.Equal(ErrorIds.NeverObserved, Assert.Throws<QuantException>(calibrator.Finish).ErrorId);
    }

    [Fact]
    public void NothingToQuantizeSaysWhy()
    {
        OnnxModel model = TestModels.Graph(["N", 4], [Nodes.Create("Softmax", "s", ["x"], ["y"])], [], ["y"]);
        QuantException e = Assert.Throws<QuantException>(() => new Calibrator(model, QConfigPresets.Default));
        Assert.Equal(ErrorIds.NothingToQuantize, e.ErrorId);
        Assert.Contains("s (Softmax)", e.Message);
        Assert.DoesNotContain("already quantized", e.Message);
    }

    [Fact]
    public void AQuantizedModelIsNotQuantizedAgain()
    {
        OnnxModel model = TestModels.Conv(3, 4, 3);
        using Calibrator calibrator = new(model, QConfigPresets.Get("onnxruntime"));
        calibrator.Observe(TestModels.Random(1, 1, 3, 6, 6));
        QuantizedGraph graph = ModelQuantizer.Quantize(calibrator.Finish());
        (OnnxModel Model, string Operator)[] quantized = [(QdqExporter.Export(graph).Model, "DequantizeLinear x "), (QOperatorExporter.Export(graph).Model, "QLinearConv x 1"),
            (DynamicQuantizer.Quantize(model), "ConvInteger x 1")];
        foreach ((OnnxModel again, string op) in quantized)
        {
            QuantException e = Assert.Throws<QuantException>(() => new Calibrator(again, QConfigPresets.Default));
            Assert.Equal(ErrorIds.NothingToQuantize, e.ErrorId);
            Assert.Contains("is already quantized", e.Message);
            Assert.Contains(op, e.Message);
            Assert.Contains("Invoke-QModel", e.Message);
        }
    }

    [Theory]
    [InlineData("x86")]
    [InlineData("minmax")]
    public void ThreadsDoNotMatter(string preset)
    {
        OnnxModel model = TestData.Network("fmnist-mobile");
        Assert.Equal(Run(1), Run(0));

        float[] Run(int threads)
        {
            using Calibrator calibrator = new(model, Workflow.ConfigOf(preset), settings: new SessionSettings { IntraOpThreads = threads });
            foreach (Tensor batch in TestData.Batches(TestData.Calibration, 16, 64))
                calibrator.Observe(batch);
            return Ranges(calibrator.Finish());
        }
    }

    private static float[] Ranges(CalibrationData data) => [.. data.Observers.OrderBy(o => o.Key, StringComparer.Ordinal).SelectMany(o => o.Value.CalculateQParams().Scales.ToArray().Concat(o.Value.MinValues.ToArray()).Concat(o.Value.MaxValues.ToArray()))];
}
