using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Quantization;

namespace QuantPS.Onnx.Tests.Quantization;

/// <summary>Layers with observers of their own, and layers that stay float.</summary>
public class OverrideTests
{
    private static readonly Lazy<OnnxModel> Net = new(() => TestData.Network("fmnist-resnet8"));
    private static readonly ObserverSpec MinMax = new();
    private static readonly ObserverSpec PerTensorWeight = ObserverPresets.Weight;

    private static QuantizedGraph Quantize(QConfig config) => ModelQuantizer.Quantize(Workflow.Calibrate(Net.Value, config, 32));

    private static QConfig Base => QConfigPresets.Get("onednn");

    [Fact]
    public void OverriddenLayersUseTheirOwnObserversAndTheOthersDoNotChange()
    {
        QuantizedGraph plain = Quantize(Base), minMax = Quantize(Base with { Activation = MinMax, Weight = PerTensorWeight });
        string layer = plain.Layers[2].Name;
        QuantizedGraph mixed = Quantize(Base with { Overrides = [new LayerOverride(layer.ToUpperInvariant(), MinMax, PerTensorWeight)] });
        for (int i = 0; i < plain.Layers.Count; i++)
        {
            var expected = plain.Layers[i].Name == layer ? minMax.Layers[i] : plain.Layers[i];
            Assert.Equal(expected.OutputQParams.Scales.ToArray(), mixed.Layers[i].OutputQParams.Scales.ToArray());
            Assert.Equal(expected.Weight.QParams.Scales.ToArray(), mixed.Layers[i].Weight.QParams.Scales.ToArray());
            Assert.Equal(expected.Weight.Scheme, mixed.Layers[i].Weight.Scheme);
        }
        Assert.NotEqual(plain.Layers[2].Weight.Scheme, mixed.Layers[2].Weight.Scheme);
    }

    [Fact]
    public void TheMostSpecificPatternWinsInWhateverOrder()
    {
        LayerOverride all = new("*", MinMax, PerTensorWeight), convs = new("*/Conv", MinMax with { ReduceRange = true }, PerTensorWeight), one = new("/c/Conv", ObserverPresets.Default, PerTensorWeight);
        QConfig a = Base with { Overrides = [all, one, convs] }, b = Base with { Overrides = [convs, all, one] };
        Assert.Equal(a, b);
        Assert.Equal(a.GetHashCode(), b.GetHashCode());
        Assert.Equal(one.Activation, a.For("/C/conv").Activation);
        Assert.Equal(convs.Activation, a.For("/d/Conv").Activation);
        Assert.Equal(all.Activation, a.For("/d/Add").Activation);
        Assert.NotEqual(a, a with { Exclude = ["x"] });
    }

    [Fact]
    public void ExcludedLayersStayFloatAndSaySo()
    {
        QuantizedGraph plain = Quantize(Base);
        string first = plain.Layers[0].Name;
        QuantizedGraph graph = Quantize(Base with { Exclude = [first, "*Gemm"] });
        Assert.Equal("it is excluded", graph.FloatNodes.Single(n => n.Name == first).Reason);
        Assert.Contains(graph.FloatNodes, n => n.OpType == "Gemm" && n.Reason == "it is excluded by '*Gemm'");
        Assert.Equal(plain.Layers.Count - 2, graph.Layers.Count);
        // It still runs, with the excluded layers in float, and says what the whole int8 model says.
        Assert.True(Workflow.Agreement(Workflow.PredictFloat(Net.Value, 200), Workflow.PredictInt8(graph, 200)) >= 97);
    }

    [Fact]
    public void EverythingExcludedLeavesNothing() =>
        Assert.Equal(ErrorIds.NothingToQuantize, Assert.Throws<QuantException>(() => new Calibrator(Net.Value, Base with { Exclude = ["*"] })).ErrorId);

    [Theory]
    [InlineData("/c/Con", "/c/Conv")]
    [InlineData("/d/Conv*x", "/c/Conv")]
    public void PatternsThatMatchNothingNameTheNearest(string pattern, string near)
    {
        foreach (QConfig config in new[] { Base with { Exclude = [pattern] }, Base with { Overrides = [new LayerOverride(pattern, MinMax, PerTensorWeight)] } })
        {
            QuantException e = Assert.Throws<QuantException>(() => new Calibrator(Net.Value, config));
            Assert.Equal(ErrorIds.LayerNotFound, e.ErrorId);
            Assert.Contains(pattern, e.Message);
            Assert.Contains(near, e.Message);
        }
    }

    [Fact]
    public void AnOverrideOfAFusedActivationIsToldApart()
    {
        string fused = new QuantizationPlan(Net.Value).Nodes.First(n => n.FusedActivation is not null).FusedActivation!.Name;
        QuantException e = Assert.Throws<QuantException>(() => new Calibrator(Net.Value, Base with { Overrides = [new LayerOverride(fused, MinMax, PerTensorWeight)] }));
        Assert.Contains("part of another layer", e.Message);
        // Left out, it stays a node of its own.
        QuantizationPlan plan = new(Net.Value, Base with { Exclude = [fused] });
        Assert.Contains(plan.Nodes, n => n.Name == fused && !n.IsQuantized);
    }

    [Fact]
    public void AnObserverWithoutARangeIsNamedWithItsValue()
    {
        CalibrationData data = Workflow.Calibrate(Net.Value, Base with { Activation = new ObserverSpec { Kind = ObserverKind.Placeholder } }, 32);
        QuantException e = Assert.Throws<QuantException>(() => ModelQuantizer.Quantize(data));
        Assert.Equal(ErrorIds.ObserverHasNoRange, e.ErrorId);
        Assert.Contains("'image'", e.Message);
    }

    [Theory]
    [InlineData("onnxruntime_s8s8")]
    [InlineData("default_qconfig")]
    [InlineData("default_per_channel_qconfig")]
    [InlineData("default_symmetric_qnnpack_qconfig")]
    [InlineData("default_per_channel_symmetric_qnnpack_qconfig")]
    public void NewPresetsKeepTheNetworksAnswers(string name)
    {
        QuantizedGraph graph = ModelQuantizer.Quantize(Workflow.Calibrate(Net.Value, QConfigPresets.Get(name), 64));
        Assert.True(Workflow.Agreement(Workflow.PredictFloat(Net.Value, 200), Workflow.PredictInt8(graph, 200)) >= 94);
    }

    [Theory]
    [InlineData(ObserverKind.Entropy)]
    [InlineData(ObserverKind.Percentile)]
    [InlineData(ObserverKind.Distribution)]
    [InlineData(ObserverKind.OrtMinMax)]
    [InlineData(ObserverKind.Mse)]
    public void NewObserversKeepTheNetworksAnswers(ObserverKind kind)
    {
        QConfig config = QConfigPresets.Get(kind == ObserverKind.Mse ? "onednn" : "onnxruntime") with { Activation = new ObserverSpec { Kind = kind } };
        QuantizedGraph graph = ModelQuantizer.Quantize(Workflow.Calibrate(Net.Value, config, 64));
        Assert.True(Workflow.Agreement(Workflow.PredictFloat(Net.Value, 200), Workflow.PredictInt8(graph, 200)) >= 94);
    }

    [Theory]
    [InlineData("*", "/a/b", true)]
    [InlineData("/A/*", "/a/b", true)]
    [InlineData("/a/?", "/a/b", true)]
    [InlineData("/a/?", "/a/bc", false)]
    [InlineData("conv[1-3]", "conv2", true)]
    [InlineData("conv[1-3]", "conv4", false)]
    [InlineData("conv[0]", "conv[0]", true)]
    [InlineData("a.b", "axb", false)]
    [InlineData("a`*", "a*", true)]
    [InlineData("a`*", "ab", false)]
    [InlineData("[", "[", true)]
    [InlineData("a\\d", "a\\d", true)]
    public void Patterns(string pattern, string name, bool matches) => Assert.Equal(matches, LayerPattern.Matches(pattern, name));
}
