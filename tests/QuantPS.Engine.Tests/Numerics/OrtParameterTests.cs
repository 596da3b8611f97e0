using System.Text.Json;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Numerics.Requantization;
using QuantPS.Engine.Tensors;
using QuantPS.Engine.Tests.Golden;
using QuantPS.Engine.Tests.Observers;

namespace QuantPS.Engine.Tests.Numerics;

/// <summary>ONNX Runtime's parameters for every type, int32 bias and weight-scale adjustment against the NumPy reference that equals ONNX
/// Runtime's own Python.</summary>
public class OrtParameterTests
{
    private const string File = "ort_calibrators_ref.json";

    public static TheoryData<string> ParameterIds => GoldenFile.Ids(File, c => c.GetProperty("id").GetString()!.StartsWith("qp", StringComparison.Ordinal));

    public static TheoryData<string> BiasIds => GoldenFile.Ids(File, c => c.GetProperty("id").GetString()!.StartsWith("bi", StringComparison.Ordinal));

    private static QDType DType(string ort) => ort switch
    {
        "uint8" => QDType.QUInt8,
        "int8" => QDType.QInt8,
        "uint16" => QDType.QUInt16,
        "int16" => QDType.QInt16,
        "uint4" => QDType.QUInt4,
        _ => QDType.QInt4,
    };

    [Theory, MemberData(nameof(ParameterIds))]
    public void ParametersAndIntegersAreTheReferences(string id)
    {
        JsonElement golden = GoldenFile.Load(File)[id];
        QScheme scheme = golden.GetProperty("symmetric").GetBoolean() ? QScheme.PerTensorSymmetric : QScheme.PerTensorAffine;
        float? minRealRange = golden.IsMissing("mrr") ? null : golden.GetProperty("mrr").Single();
        QParams p = OrtQParams.Calculate([golden.GetProperty("lo").Single()], [golden.GetProperty("hi").Single()], DType(golden.GetProperty("dtype").GetString()!),
            scheme, golden.GetProperty("reduce").GetBoolean(), -1, minRealRange);
        ObserverGolden.AssertBits([golden.GetProperty("scale").Single()], p.Scales);
        Assert.Equal(golden.GetProperty("zp").GetInt32(), p.ZeroPoints[0]);
        QuantizedTensor q = Quantizer.Quantize(golden.GetProperty("x").Tensor(), p, onnxRule: true);
        Assert.Equal(golden.GetProperty("q").Integers(), Enumerable.Range(0, q.Length).Select(q.GetInteger));
    }

    [Theory, MemberData(nameof(BiasIds))]
    public void BiasAndAdjustedScalesAreTheReferences(string id)
    {
        JsonElement golden = GoldenFile.Load(File)[id];
        float[] scales = golden.GetProperty("ws").Singles(), bias = golden.GetProperty("b").Elements<float>();
        float input = golden.GetProperty("xs").Single();
        QScheme scheme = golden.GetProperty("per_channel").GetBoolean() ? QScheme.PerChannelSymmetric : QScheme.PerTensorSymmetric;
        QParams weight = new(scales, new int[scales.Length], QDType.QInt8, scheme, 0);
        QParams adjusted = OrtQParams.AdjustForInt32Bias(weight, bias, input);
        ObserverGolden.AssertBits(golden.GetProperty("adjusted").Singles(), adjusted.Scales);
        Assert.Equal(golden.GetProperty("q").Integers(), Biases(weight));
        Assert.Equal(golden.GetProperty("adjusted_q").Integers(), Biases(adjusted));

        int[] Biases(QParams w) => [.. bias.Select((b, c) => OnnxRuntimeRequantizer.QuantizeBias(b, input * w.Scales[w.IsPerChannel ? c : 0]))];
    }

    [Fact]
    public void AnAsymmetricWeightIsNotAdjusted()
    {
        QParams weight = new(1e-9f, 3, QDType.QInt8);
        Assert.Same(weight, OrtQParams.AdjustForInt32Bias(weight, [1e6f], 1e-6f));
    }

    [Fact]
    public void WhatOnnxRuntimeHasNotIsRefused()
    {
        Assert.Equal(ErrorIds.UnsupportedDType, Assert.Throws<QuantException>(() => OrtQParams.Calculate([0], [1], QDType.QInt32, QScheme.PerTensorAffine)).ErrorId);
        Assert.Equal(ErrorIds.UnsupportedScheme,
            Assert.Throws<QuantException>(() => OrtQParams.Calculate([0], [1], QDType.QInt8, QScheme.PerChannelAffineFloatQParams)).ErrorId);
        Assert.Equal(ErrorIds.NotANumber, Assert.Throws<QuantException>(() => OrtQParams.Calculate([float.NaN], [1], QDType.QInt8, QScheme.PerTensorAffine)).ErrorId);
    }
}
