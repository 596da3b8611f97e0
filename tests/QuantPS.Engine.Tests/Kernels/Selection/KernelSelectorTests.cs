using QuantPS.Engine.Errors;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Numerics.Engines;
using QuantPS.Engine.Numerics.Requantization;

namespace QuantPS.Engine.Tests.Kernels.Selection;

/// <summary>Which kernel a problem gets. That all of them compute the same is the affair of <see cref="KernelSweepTests"/>.</summary>
public class KernelSelectorTests
{
    [Theory]
    [InlineData(null, true, true, true, true, "generated-conv-nhwc-14x32-avx512vnni")]
    [InlineData("generated", true, true, true, true, "generated-conv-nhwc-14x32-avx512vnni")]
    [InlineData("generated", false, true, true, true, "vector-conv-im2col-4x2-avxvnni")]
    [InlineData(null, false, true, true, true, "vector-conv-im2col-4x2-avxvnni")]
    [InlineData(null, false, false, true, true, "vector-conv-im2col-4x2-avx2")]
    [InlineData(null, false, false, false, true, "vector-conv-im2col-4x2-vector128")]
    [InlineData(null, false, false, false, true, "vector-conv-im2col-4x2-armdp", true)]
    [InlineData("vector", false, false, false, true, "vector-conv-im2col-4x2-armdp", true)]
    [InlineData("reference", false, false, false, true, "reference-conv", true)]
    [InlineData(null, false, false, false, false, "reference-conv")]
    [InlineData("reference", true, true, true, true, "reference-conv")]
    [InlineData("vector", true, true, true, true, "vector-conv-im2col-4x2-avxvnni")]
    [InlineData("Vector", false, false, true, true, "vector-conv-im2col-4x2-avx2")]
    [InlineData(null, true, true, true, true, "winograd-conv-nhwc-4x4-avx512vnni", false, true)]
    [InlineData(null, false, true, true, true, "winograd-conv-nhwc-4x4-avx2", false, true)]
    [InlineData("generated", false, false, true, true, "winograd-conv-nhwc-4x4-avx2", false, true)]
    [InlineData("vector", false, false, true, true, "vector-conv-im2col-4x2-avx2", false, true)]
    public void Ladder_is_a_function_of_cpu_and_force(string? forced, bool vnni512, bool vnni, bool avx2, bool vector128, string expected, bool armDp = false, bool avx2Code = false)
    {
        var cpu = new CpuFeatures(vnni512, vnni, avx2, vector128, armDp, avx2Code);
        Assert.Equal(expected, KernelSelector.Select(Conv(outputs: 16, perGroup: 16, groups: 1), cpu, KernelSelector.Forced(forced)).Name);
    }

    /// <summary>Of dense 3 x 3 convolutions Winograd's transform takes those of stride and dilation 1 whose sums it can hold, and not those of few channels.</summary>
    [Theory]
    [InlineData(16, 16, 1, 1, 0, "winograd-conv-nhwc-4x4-avx2")]
    [InlineData(16, 16, 2, 1, 0, "generated-conv-nhwc-8x16-avx2")]
    [InlineData(16, 16, 1, 2, 0, "generated-conv-nhwc-8x16-avx2")]
    [InlineData(15, 16, 1, 1, 0, "generated-conv-nhwc-8x16-avx2")]
    [InlineData(16, 15, 1, 1, 0, "generated-conv-nhwc-8x16-avx2")]
    [InlineData(16, 115, 1, 1, 127, "winograd-conv-nhwc-4x4-avx2")] // 115 * 9 * 127 * 255 is less than 2^25
    [InlineData(16, 116, 1, 1, 127, "generated-conv-nhwc-8x16-avx2")]
    [InlineData(16, 114, 1, 1, -128, "winograd-conv-nhwc-4x4-avx2")]
    [InlineData(16, 115, 1, 1, -128, "generated-conv-nhwc-8x16-avx2")]
    public void Winograds_transform_takes_what_it_can_hold(int outputs, int channels, int stride, int dilation, int weight, string expected)
    {
        var cpu = new CpuFeatures(false, false, true, true, Avx2Code: true);
        Assert.Equal(expected, KernelSelector.Select(Conv(outputs, channels, 1, stride, dilation, weight), cpu, null).Name);
    }

    [Theory]
    [InlineData(8, 1, true, "generated-depthwise-nhwc-64-avx512vnni")]
    [InlineData(8, 1, false, "generated-depthwise-nhwc-32-avx2")]
    [InlineData(32, 1, false, "generated-depthwise-nhwc-32-avx2")]
    [InlineData(32, 1, false, "vector-depthwise-nhwc-16", false)] // AVX2 without FMA
    [InlineData(32, 1, false, "vector-depthwise-nhwc-16", true, "vector")]
    [InlineData(7, 1, false, "reference-conv")] // too few channels for a vector of 16 or a piece of 8, too few products for im2col
    [InlineData(8, 2, true, "repeated-generated-depthwise-nhwc-64-avx512vnni")] // two output channels a group
    [InlineData(8, 2, false, "repeated-generated-depthwise-nhwc-32-avx2")]
    [InlineData(8, 2, false, "repeated-vector-depthwise-nhwc-16", true, "vector")]
    public void Ladder_for_shallow_convolutions(int groups, int outputsPerGroup, bool vnni512, string expected, bool avx2Code = true, string? forced = null)
    {
        var cpu = new CpuFeatures(vnni512, true, true, true, Avx2Code: avx2Code);
        Assert.Equal(expected, KernelSelector.Select(Conv(groups * outputsPerGroup, perGroup: 1, groups), cpu, KernelSelector.Forced(forced)).Name);
    }

    [Theory]
    [InlineData(null, true, true, false, "generated-linear-avx512vnni", true)]
    [InlineData("vector", true, true, false, "vector-linear-4x2-avxvnni", true)]
    [InlineData(null, true, true, false, "vector-linear-4x2-avxvnni")]
    [InlineData(null, false, true, false, "vector-linear-4x2-avx2")]
    [InlineData(null, false, false, true, "vector-linear-4x2-armdp")]
    [InlineData(null, false, false, false, "vector-linear-4x2-vector128")]
    [InlineData("reference", true, true, true, "reference-linear")]
    [InlineData(null, true, true, false, "generated-linear-avx2", false, true)]
    [InlineData("vector", false, true, false, "vector-linear-4x2-avx2", false, true)]
    public void Ladder_for_linear_layers(string? forced, bool vnni, bool avx2, bool armDp, string expected, bool vnni512 = false, bool avx2Code = false)
    {
        var problem = new LinearProblem
        {
            Weight = new sbyte[16 * 16],
            WeightZeroPoints = new int[16],
            OutputFeatures = 16,
            InputFeatures = 16,
            InputZeroPoint = 0,
            InputFlip = 0,
            Requantizer = Requantizer(16),
        };
        Assert.Equal(expected, KernelSelector.Select(problem, new CpuFeatures(vnni512, vnni, avx2, true, armDp, avx2Code), KernelSelector.Forced(forced)).Name);
    }

    [Fact]
    public void Unknown_force_is_an_error_that_names_the_choices()
    {
        var e = Assert.Throws<QuantException>(() => KernelSelector.Forced("turbo"));
        Assert.Equal(ErrorIds.InvalidForcedKernel, e.ErrorId);
        Assert.Contains("reference, vector or generated", e.Message, StringComparison.Ordinal);
    }

    private static ConvProblem Conv(int outputs, int perGroup, int groups, int stride = 1, int dilation = 1, int weight = 0) => new()
    {
        Weight = Enumerable.Repeat((sbyte)weight, outputs * perGroup * 9).ToArray(),
        WeightZeroPoints = new int[outputs],
        OutputChannels = outputs,
        ChannelsPerGroup = perGroup,
        Geometry = new ConvGeometry([3, 3], [stride, stride], dilation: [dilation, dilation], groups: groups),
        InputZeroPoint = 0,
        InputFlip = 0,
        Requantizer = Requantizer(outputs),
    };

    private static Requantizer Requantizer(int outputs) => EngineProfiles.Get(EngineKind.Fbgemm).CreateRequantizer(new RequantizationSpec
    {
        InputScale = 1,
        WeightScales = [1],
        PerChannelWeight = false,
        Bias = null,
        OutputChannels = outputs,
        OutputScale = 1,
        OutputZeroPoint = 0,
        OutputMin = 0,
        OutputMax = 255,
    });
}
