using System.Text;
using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Calibration.Formats;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Quantization;

namespace QuantPS.Onnx.Tests.Calibration;

/// <summary>Other tools' calibrations. The files here were written by hand from the formats' descriptions.</summary>
public class FormatTests
{
    private const string Pair = """{"input": [-1.0, 1.55], "output": [0, 5.1]}""";

    private const string TensorsData = """
        {"CLS": "TensorsData", "data": {
          "input": {"lowest": {"data": -1.0, "dtype": "float32", "CLS": "numpy.array"}, "highest": {"data": 1.55, "dtype": "float32", "CLS": "numpy.array"}, "CLS": "TensorData"},
          "output": {"lowest": {"data": [0.0], "dtype": "float32", "CLS": "numpy.array"}, "highest": {"data": [5.1], "dtype": "float32", "CLS": "numpy.array"}, "CLS": "TensorData"}},
         "calibration_method": {"CLS": "CalibrationMethod", "value": "CalibrationMethod.MinMax"}}
        """;

    private const string Old = """
        {"version": "0.6.1",
         "activation_encodings": {
          "input": [{"bitwidth": 8, "dtype": "int", "is_symmetric": "False", "max": 1.9375, "min": -2.046875, "offset": -131, "scale": 0.015625}],
          "output": [{"bitwidth": 8, "dtype": "int", "is_symmetric": "True", "max": 3.96875, "min": -4.0, "offset": -128, "scale": 0.03125}]},
         "param_encodings": {"weight": [
          {"bitwidth": 8, "dtype": "int", "is_symmetric": "True", "max": 1.984375, "min": -2.0, "offset": -128, "scale": 0.015625},
          {"bitwidth": 8, "dtype": "int", "is_symmetric": "True", "max": 0.9921875, "min": -1.0, "offset": -128, "scale": 0.0078125}]}}
        """;

    private const string New = """
        {"version": "1.0.0",
         "activation_encodings": [
          {"name": "input", "enc_type": "PER_TENSOR", "dtype": "INT", "bw": 8, "is_sym": false, "scale": [0.015625], "offset": [-131]},
          {"name": "output", "enc_type": "PER_TENSOR", "dtype": "INT", "bw": 8, "is_sym": true, "scale": [0.03125], "offset": [-128]}],
         "param_encodings": [
          {"name": "weight", "enc_type": "PER_CHANNEL", "dtype": "INT", "bw": 8, "is_sym": true, "scale": [0.015625, 0.0078125], "offset": [-128, -128]}]}
        """;

    /// <summary>key "image", value "2.25"; laid out as FlatBuffers' own builder does, the last field first, each vtable before its table.</summary>
    private static readonly byte[] OneEntry = Convert.FromHexString(
        "0C000000" + "0000" + "060008000400" + "06000000" + "04000000" + "01000000" + "0C000000" + "08000C0008000400" + "08000000" + "08000000" + "10000000"
        + "04000000" + "322E3235" + "00000000" + "05000000" + "696D616765" + "000000");

    private static readonly OnnxModel Conv = TestModels.Conv(3, 2, 3);

    private static CalibrationData Read(byte[] bytes, string path, OnnxModel model, QConfig? config = null) =>
        CalibrationFormats.ForReading(bytes, path, null).Read(bytes, model, config, path);

    private static CalibrationData Read(string text, string path) => Read(Encoding.UTF8.GetBytes(text), path, Conv);

    private static byte[] Write(CalibrationData data, CalibrationFileKind kind, string path, string? version = null)
    {
        using MemoryStream stream = new();
        CalibrationFormats.ForWriting(kind, path, ref version).Write(data, stream, path, version!);
        return stream.ToArray();
    }

    [Theory]
    [InlineData(Pair, "calibration.json")]
    [InlineData(TensorsData, "calibration.json")]
    [InlineData(TensorsData, "renamed.txt")]
    public void OnnxRuntimesRanges(string text, string path)
    {
        CalibrationData data = Read(text, path);
        QuantizedGraph graph = ModelQuantizer.Quantize(data);
        Assert.Equal(EngineKind.OnnxRuntime, data.QConfig.Backend);
        Assert.Equal((0.01f, 100), (graph.QParamsOf("input")!.Scales[0], graph.QParamsOf("input")!.ZeroPoints[0]));
        Assert.Equal((0.02f, 0), (graph.QParamsOf("output")!.Scales[0], graph.QParamsOf("output")!.ZeroPoints[0]));
    }

    [Fact]
    public void OnnxRuntimesCacheHasTheEndsOfSymmetricRanges()
    {
        CalibrationData data = Read("input 1.275\noutput 2.55\n", "calibration.cache");
        Assert.Equal([-1.275f, 1.275f], [data.Observers["input"].MinValues[0], data.Observers["input"].MaxValues[0]]);
        Assert.Equal(2.55f, data.Observers["output"].MaxValues[0]);
    }

    [Fact]
    public void OnnxRuntimesFlatBuffers()
    {
        OnnxModel model = TestData.Network("fmnist-resnet8");
        // The input alone lets nothing be quantized; two layers more come from this module's own writer below.
        QuantException e = Assert.Throws<QuantException>(() => Read(OneEntry, "calibration.flatbuffers", model));
        Assert.Equal(ErrorIds.NothingToQuantize, e.ErrorId);
        Assert.Contains("has no range of '/Relu_output_0'", e.Message);
        for (int length = 0; length < OneEntry.Length - 3; length++)
        {
            e = Assert.Throws<QuantException>(() => Read(OneEntry[..length], "cut.flatbuffers", model));
            Assert.Equal(ErrorIds.FileFormat, e.ErrorId);
            Assert.Contains("cut.flatbuffers", e.Message);
        }
    }

    [Theory]
    [InlineData(Old)]
    [InlineData(New)]
    public void AimetsEncodings(string text)
    {
        CalibrationData data = Read(text, "conv.encodings");
        QuantizedGraph graph = ModelQuantizer.Quantize(data);
        QParams input = graph.QParamsOf("input")!, output = graph.QParamsOf("output")!;
        Assert.Equal((0.015625f, 131, QDType.QUInt8), (input.Scales[0], input.ZeroPoints[0], input.DType));
        Assert.Equal((0.03125f, 0, QDType.QInt8), (output.Scales[0], output.ZeroPoints[0], output.DType));
        QuantizedWeightLayer layer = Assert.Single(graph.Layers);
        Assert.Equal([0.015625f, 0.0078125f], layer.Weight.QParams.Scales.ToArray());
        float[] real = Conv.Graph.Constant("weight")!.ToFloats();
        for (int i = 0; i < real.Length; i++)
            Assert.Equal(Math.Clamp((int)MathF.Round(real[i] / (i < real.Length / 2 ? 0.015625f : 0.0078125f)), -128, 127), layer.Weight.GetInteger(i));
        // Another type is made from the ranges.
        QParams wide = ModelQuantizer.Quantize(data, options: new QuantizeOptions { ActivationType = QDType.QUInt16 }).QParamsOf("input")!;
        Assert.Equal(255 * 0.015625f / 65535, wide.Scales[0], 9);
    }

    public static TheoryData<CalibrationFileKind, string, string?> Files => new()
    {
        { CalibrationFileKind.OnnxRuntime, "a.json", null },
        { CalibrationFileKind.OnnxRuntime, "a.cache", null },
        { CalibrationFileKind.OnnxRuntime, "a.flatbuffers", null },
        { CalibrationFileKind.Aimet, "a.encodings", "0.6.1" },
        { CalibrationFileKind.Aimet, "a.encodings", "1.0.0" },
        { CalibrationFileKind.QuantPS, "a.json.gz", null },
    };

    [Theory, MemberData(nameof(Files))]
    public void RoundTrips(CalibrationFileKind kind, string path, string? version)
    {
        OnnxModel model = TestData.Network("fmnist-mobile");
        // What holds a single number a value tells a symmetric scheme only.
        bool ends = path is "a.cache" or "a.flatbuffers";
        QConfig config = QConfigPresets.Get("onnxruntime");
        config = config with { Activation = config.Activation with { Kind = ObserverKind.Percentile, DType = ends ? QDType.QInt8 : QDType.QUInt8, Scheme = ends ? QScheme.PerTensorSymmetric : QScheme.PerTensorAffine } };
        CalibrationData data = Workflow.Calibrate(model, config, 64);
        byte[] bytes = Write(data, kind, path, version);
        CalibrationData copy = Read(bytes, path, model, kind == CalibrationFileKind.QuantPS ? null : config);
        QuantizedGraph expected = ModelQuantizer.Quantize(data), graph = ModelQuantizer.Quantize(copy);
        Assert.Equal(expected.Nodes.Count(n => n.IsQuantized), graph.Nodes.Count(n => n.IsQuantized));
        foreach (string value in expected.Plan.Observed)
        {
            QParams a = expected.QParamsOf(value)!, b = graph.QParamsOf(value)!;
            Assert.Equal((value, a.Scales[0], a.ZeroPoints[0], a.DType), (value, b.Scales[0], b.ZeroPoints[0], b.DType));
        }
        Assert.Equal(expected.Layers.Select(l => Convert.ToHexString(l.Weight.Bytes)), graph.Layers.Select(l => Convert.ToHexString(l.Weight.Bytes)));
        if (kind != CalibrationFileKind.QuantPS)
        {
            // Ranges do not tell how they were chosen.
            Assert.Equal(Encoding.Latin1.GetString(bytes).Replace("CalibrationMethod.Percentile", "CalibrationMethod.MinMax"), Encoding.Latin1.GetString(Write(copy, kind, path, version)));
            Assert.Equal(ErrorIds.InvalidArgument, Assert.Throws<QuantException>(() => Write(copy, CalibrationFileKind.QuantPS, "b.json")).ErrorId);
            Assert.Equal(ErrorIds.CalibrationMismatch, Assert.Throws<QuantException>(() => CalibrationData.Merge([data, copy])).ErrorId);
        }
    }

    [Theory]
    [InlineData(TensorsData, "\"highest\": {\"data\": 1.55", "\"highest\": {\"data\": \"1.55\"", "input.highest")]
    [InlineData(TensorsData, "\"lowest\": {\"data\": -1.0", "\"least\": {\"data\": -1.0", "input")]
    [InlineData(TensorsData, "\"data\": -1.0", "\"data\": 2.0", "from 2 to 1.55")]
    [InlineData(TensorsData, "\"calibration_method\"", "calibration_method", "LineNumber")]
    [InlineData(Pair, "-1.0, 1.55", "-1.0", "input")]
    [InlineData(Old, "\"scale\": 0.03125", "\"scale\": 0", "activation_encodings.output[0].scale")]
    [InlineData(Old, "\"offset\": -131", "\"offset\": 3", "activation_encodings.input[0].offset")]
    [InlineData(Old, "\"bitwidth\": 8, \"dtype\": \"int\", \"is_symmetric\": \"False\"", "\"dtype\": \"int\", \"is_symmetric\": \"False\"", "activation_encodings.input[0].bitwidth")]
    [InlineData(Old, "\"is_symmetric\": \"False\"", "\"is_symmetric\": \"no\"", "activation_encodings.input[0].is_symmetric")]
    [InlineData(Old, "\"param_encodings\"", "\"params\"", "param_encodings")]
    [InlineData(New, "PER_CHANNEL", "PER_BLOCK", "param_encodings[0].enc_type")]
    [InlineData(New, "\"offset\": [-128, -128]", "\"offset\": [-128]", "param_encodings[0]")]
    [InlineData(New, "\"name\": \"output\", ", "", "activation_encodings[1].name")]
    public void DamageIsFoundWithItsKey(string text, string whole, string damaged, string key)
    {
        Assert.Contains(whole, text);
        string path = text == Old || text == New ? "bad.encodings" : "bad.json";
        int at = text.IndexOf(whole, StringComparison.Ordinal);
        QuantException e = Assert.Throws<QuantException>(() => Read(text[..at] + damaged + text[(at + whole.Length)..], path));
        Assert.Equal(ErrorIds.FileFormat, e.ErrorId);
        Assert.Contains(path, e.Message);
        Assert.Contains(key, e.Message);
    }

    [Fact]
    public void OtherFilesAndOtherModels()
    {
        Assert.Equal(ErrorIds.FileFormat, Assert.Throws<QuantException>(() => Read("hello", "a.bin")).ErrorId);
        Assert.Contains("line 2", Assert.Throws<QuantException>(() => Read("input 1.0\nnonsense\n", "a.cache")).Message);
        QuantException e = Assert.Throws<QuantException>(() => Read("""{"a": [0, 1]}""", "a.json"));
        Assert.Equal(ErrorIds.CalibrationMismatch, e.ErrorId);
        Assert.Contains("'a'", e.Message);
        e = Assert.Throws<QuantException>(() => Read(New.Replace("[0.015625, 0.0078125]", "[1, 1, 1]").Replace("[-128, -128]", "[-128, -128, -128]"), "a.encodings"));
        Assert.Equal(ErrorIds.CalibrationMismatch, e.ErrorId);
        string? version = "9";
        Assert.Equal(ErrorIds.InvalidArgument, Assert.Throws<QuantException>(() => CalibrationFormats.ForWriting(CalibrationFileKind.Aimet, "a", ref version)).ErrorId);
    }

    [Fact]
    public void WhatTheFileDoesNotKnowStaysFloat()
    {
        OnnxModel model = TestData.Network("fmnist-mobile");
        CalibrationData data = Workflow.Calibrate(model, QConfigPresets.Get("onnxruntime"), 32);
        string last = data.Plan.Nodes.Last(n => n.IsQuantized).Output;
        string[] lines = Encoding.UTF8.GetString(Write(data, CalibrationFileKind.OnnxRuntime, "a.cache")).Split('\n');
        QuantizedGraph graph = ModelQuantizer.Quantize(Read(Encoding.UTF8.GetBytes(string.Join('\n', lines.Where(l => !l.StartsWith(last + " ", StringComparison.Ordinal)))), "a.cache", model));
        QuantizedNode node = Assert.Single(graph.Nodes, n => n.Planned.Node.Output.Contains(last));
        Assert.False(node.IsQuantized);
        Assert.Contains(last, node.Reason);
    }
}
