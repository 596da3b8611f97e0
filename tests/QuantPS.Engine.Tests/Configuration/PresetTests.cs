using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;

namespace QuantPS.Engine.Tests.Configuration;

/// <summary>The presets against torch/ao/quantization/qconfig.py and observer.py.</summary>
public class PresetTests
{
    [Theory]
    [InlineData("default_qconfig", "MinMax(quint8, per_tensor_affine, 0..127)", "MinMax(qint8, per_tensor_symmetric)")]
    [InlineData("default_per_channel_qconfig", "MinMax(quint8, per_tensor_affine, 0..127)", "PerChannelMinMax(qint8, per_channel_symmetric)")]
    [InlineData("default_symmetric_qnnpack_qconfig", "Histogram(qint8, per_tensor_affine)", "MinMax(qint8, per_tensor_symmetric, -127..127)")]
    [InlineData("default_per_channel_symmetric_qnnpack_qconfig", "Histogram(qint8, per_tensor_affine)", "PerChannelMinMax(qint8, per_channel_symmetric, -127..127)")]
    [InlineData("onnxruntime_s8s8", "OrtMinMax(qint8, per_tensor_affine)", "MinMax(qint8, per_tensor_symmetric)")]
    public void NamedQConfigs(string name, string activation, string weight)
    {
        QConfig c = QConfigPresets.Get(name.ToUpperInvariant());
        Assert.Equal((name, activation, weight), (c.Name, c.Activation.ToString(), c.Weight.ToString()));
        float eps = name.Contains("symmetric", StringComparison.Ordinal) ? 1f / 4096 : ObserverSpec.DefaultEps;
        Assert.Equal((eps, eps), (c.Activation.Eps, c.Weight.Eps));
    }

    [Fact]
    public void EveryPresetMakesItsObservers()
    {
        foreach (string name in QConfigPresets.Names)
        {
            QConfig c = QConfigPresets.Get(name);
            Assert.Equal(name, c.Name);
            c.Activation.Create();
            c.Weight.Create();
        }
        Assert.Equal(ErrorIds.UnknownQConfig, Assert.Throws<QuantException>(() => QConfigPresets.Get("x87")).ErrorId);
    }

    [Fact]
    public void NamedObservers()
    {
        Assert.Equal("Histogram(quint8, per_tensor_affine, 0..127)", ObserverPresets.Histogram.ToString());
        Assert.Equal("PerChannelMinMax(quint8, per_channel_affine_float_qparams)", ObserverPresets.FloatQParams.ToString());
        Assert.Equal(QDType.QUInt4, ObserverPresets.FloatQParams4Bit.DType);
        Assert.Equal((1f / 256, 0), (ObserverPresets.FixedRange0To1.Create().CalculateQParams().Scales[0], ObserverPresets.FixedRange0To1.Create().CalculateQParams().ZeroPoints[0]));
        Assert.Equal((2f / 256, 128), (ObserverPresets.FixedRangeNeg1To1.Create().CalculateQParams().Scales[0], ObserverPresets.FixedRangeNeg1To1.Create().CalculateQParams().ZeroPoints[0]));
    }
}
