using System.Text;
using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Observers;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Quantization;

namespace QuantPS.Onnx.Tests.Calibration;

/// <summary>Calibrations written, read, and merged.</summary>
public class CalibrationFileTests
{
    private static readonly Lazy<OnnxModel> Net = new(() => TestData.Network("fmnist-mobile"));

    public static TheoryData<ObserverKind> Kinds => [.. Enum.GetValues<ObserverKind>().Except([ObserverKind.PerChannelMinMax, ObserverKind.MovingAveragePerChannelMinMax])];

    private static QConfig Config(ObserverKind kind, int bins = 2048) => QConfigPresets.Get("onednn") with
    {
        Name = "test",
        Activation = new ObserverSpec { Kind = kind, Bins = bins, Scale = kind == ObserverKind.FixedQParams ? 0.1f : null, ZeroPoint = kind == ObserverKind.FixedQParams ? 9 : null },
    };

    private static CalibrationData Calibrate(OnnxModel model, QConfig config, int skip = 0, int images = 8, int batch = 4)
    {
        using Calibrator calibrator = new(model, config);
        foreach (Tensor t in TestData.Batches(TestData.Calibration, batch, skip + images).Skip(skip / batch))
            calibrator.Observe(t);
        return calibrator.Finish();
    }

    private static byte[] Write(CalibrationData data, bool compress = false)
    {
        using MemoryStream stream = new();
        CalibrationFile.Write(data, stream, compress);
        return stream.ToArray();
    }

    private static string Parameters(CalibrationData data)
    {
        QuantizedGraph graph = ModelQuantizer.Quantize(data);
        return string.Join("\n", data.Plan.Observed.Select(v => graph.QParamsOf(v)!).Select(p => $"{BitConverter.SingleToInt32Bits(p.Scales[0])} {p.ZeroPoints[0]}"));
    }

    [Theory, MemberData(nameof(Kinds))]
    public void NothingIsLost(ObserverKind kind)
    {
        CalibrationData data = Calibrate(Net.Value, Config(kind, 512));
        byte[] file = Write(data), zipped = Write(data, compress: true);
        Assert.True(zipped.Length < file.Length);
        foreach (byte[] bytes in new[] { file, zipped })
        {
            CalibrationData copy = CalibrationFile.Read(bytes, Net.Value, "a.json");
            Assert.Equal(data.QConfig, copy.QConfig);
            Assert.Equal((data.SampleCount, data.BatchCount), (copy.SampleCount, copy.BatchCount));
            Assert.Equal(data.Observers.Keys.Order(), copy.Observers.Keys.Order());
            Assert.Equal(file, Write(copy));
            if (data.Observers.Values.First().HasRange)
                Assert.Equal(Parameters(data), Parameters(copy));
        }
    }

    [Fact]
    public void OverridesAndExclusionsComeAlong()
    {
        OnnxModel model = TestData.Network("fmnist-resnet8");
        ObserverSpec minMax = new();
        QConfig config = QConfigPresets.Get("x86") with { Exclude = ["/c/Conv"], Overrides = [new LayerOverride("*/Add", minMax, minMax)] };
        CalibrationData data = Calibrate(model, config), copy = CalibrationFile.Read(Write(data), model, "a.json");
        Assert.Equal(config, copy.QConfig);
        Assert.Equal(Parameters(data), Parameters(copy));
        Assert.Contains(copy.Observers.Values, o => o.Spec.Kind == ObserverKind.MinMax);
    }

    [Fact]
    public void AnotherModelIsRefusedAndSaysWhatDiffers()
    {
        byte[] file = Write(Calibrate(Net.Value, Config(ObserverKind.MinMax)));
        OnnxModel otherWeights = Net.Value.Clone();
        TensorProto weight = otherWeights.Proto.Graph.Initializer.First(i => i.Dims.Count == 4);
        float[] values = weight.ToFloats();
        values[0] += 1;
        otherWeights.Proto.Graph.Initializer[otherWeights.Proto.Graph.Initializer.IndexOf(weight)] = TensorProtos.Create(weight.Name, values, [.. weight.Dims.Select(d => (int)d)]);
        Assert.Contains("the weights are others", Refusal(otherWeights));
        Assert.Contains("nodes, not", Refusal(TestData.Network("fmnist-resnet8")));
        OnnxModel renamed = Net.Value.Clone();
        renamed.Proto.Graph.Node[0].Name += "x";
        Assert.Contains("names of its values", Refusal(renamed));
        OnnxModel otherOpset = Net.Value.Clone();
        otherOpset.Proto.OpsetImport[0].Version++;
        Assert.Contains("operator set", Refusal(otherOpset));

        string Refusal(OnnxModel model)
        {
            QuantException e = Assert.Throws<QuantException>(() => CalibrationFile.Read(file, model, "a.json"));
            Assert.Equal(ErrorIds.CalibrationMismatch, e.ErrorId);
            return e.Message;
        }
    }

    [Theory]
    [InlineData("\"format\":\"QuantPS.Calibration\"", "\"format\":\"other\"")]
    [InlineData("\"version\":1,\"model\"", "\"version\":7,\"model\"")]
    [InlineData("\"qConfig\":", "\"config\":")]
    [InlineData("\"backend\":\"OneDnn\"", "\"backend\":\"Abacus\"")]
    [InlineData("\"kind\":\"MinMax\",\"dType\":\"QUInt8\"", "\"kind\":\"MinMax\",\"dType\":\"QUInt9\"")]
    [InlineData("\"samples\":8", "\"samples\":\"eight\"")]
    [InlineData("\"min\":[", "\"min\":[1,")]
    [InlineData("\"observers\":{", "\"observers\":{\"extra\":null,")]
    public void DamageIsFound(string whole, string damaged)
    {
        string text = Encoding.UTF8.GetString(Write(Calibrate(Net.Value, Config(ObserverKind.MinMax)))), bad = text.Replace(whole, damaged, StringComparison.Ordinal);
        Assert.NotEqual(text, bad);
        QuantException e = Assert.Throws<QuantException>(() => CalibrationFile.Read(Encoding.UTF8.GetBytes(bad), Net.Value, "a.json"));
        Assert.Contains(e.ErrorId, new[] { ErrorIds.FileFormat, ErrorIds.CalibrationMismatch });
        Assert.Contains("a.json", e.Message);
    }

    [Fact]
    public void CutFilesAreFound()
    {
        foreach (bool compress in new[] { false, true })
        {
            byte[] file = Write(Calibrate(Net.Value, Config(ObserverKind.MinMax)), compress);
            foreach (int length in new[] { 0, 1, 2, 20, file.Length / 2, file.Length - 1 })
            {
                // The last byte of a gzip file is part of its length, which nobody needs.
                if (compress && length == file.Length - 1)
                    continue;
                QuantException e = Assert.Throws<QuantException>(() => CalibrationFile.Read(file[..length], Net.Value, "a.json"));
                Assert.Contains(e.ErrorId, new[] { ErrorIds.FileFormat, ErrorIds.FileTruncated });
            }
        }
    }

    [Theory]
    [InlineData(ObserverKind.MinMax)]
    [InlineData(ObserverKind.OrtMinMax)]
    public void MergedExtremesAreThoseOfAllTheData(ObserverKind kind)
    {
        QConfig config = Config(kind);
        CalibrationData all = Calibrate(Net.Value, config, 0, 24), merged = CalibrationData.Merge([Calibrate(Net.Value, config, 16), Calibrate(Net.Value, config, 0, 16)]);
        Assert.Equal(Parameters(all), Parameters(merged));
        Assert.Equal((24L, 6L), (merged.SampleCount, merged.BatchCount));
        Assert.Equal(Write(all), Write(merged));
    }

    [Theory]
    [InlineData(ObserverKind.Histogram)]
    [InlineData(ObserverKind.Mse)]
    public void MergingIsAssociativeAndFreeOfOrder(ObserverKind kind)
    {
        QConfig config = Config(kind, 256);
        CalibrationData[] parts = [.. Enumerable.Range(0, 4).Select(i => Calibrate(Net.Value, config, 8 * i))];
        byte[] flat = Write(CalibrationData.Merge(parts));
        Assert.Equal(flat, Write(CalibrationData.Merge([parts[2], parts[0], parts[3], parts[1]])));
        Assert.Equal(flat, Write(CalibrationData.Merge([CalibrationData.Merge([parts[3], parts[1]]), CalibrationData.Merge([parts[0], parts[2]])])));
        CalibrationData read = CalibrationFile.Read(Write(CalibrationData.Merge([parts[0], parts[1]])), Net.Value, "a.json");
        Assert.Equal(flat, Write(CalibrationData.Merge([parts[3], read, parts[2]])));
        // The parts are as they were.
        Assert.Equal(8, parts[0].SampleCount);
        Assert.All(parts[0].Observers.Values, o => Assert.Equal(2, o.BatchCount));
    }

    [Fact]
    public void WhatDoesNotBelongTogetherIsNotMerged()
    {
        CalibrationData a = Calibrate(Net.Value, Config(ObserverKind.MinMax));
        Assert.Equal(ErrorIds.CalibrationMismatch, Refusal([a, Calibrate(TestData.Network("fmnist-resnet8"), Config(ObserverKind.MinMax))]));
        Assert.Equal(ErrorIds.CalibrationMismatch, Refusal([a, Calibrate(Net.Value, Config(ObserverKind.Histogram))]));
        Assert.Equal(ErrorIds.InvalidArgument, Refusal([Calibrate(Net.Value, Config(ObserverKind.MovingAverageMinMax)), Calibrate(Net.Value, Config(ObserverKind.MovingAverageMinMax))]));
        Assert.Equal(ErrorIds.InvalidArgument, Refusal([]));
        // The name of a configuration is for people.
        Assert.Equal(16, CalibrationData.Merge([a, Calibrate(Net.Value, Config(ObserverKind.MinMax) with { Name = "other" })]).SampleCount);

        static string Refusal(CalibrationData[] parts) => Assert.Throws<QuantException>(() => CalibrationData.Merge(parts)).ErrorId;
    }
}
