using QuantPS.Engine.Kernels;
using QuantPS.Engine.Kernels.Generated;
using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Numerics.Engines;
using QuantPS.Engine.Numerics.Requantization;

namespace QuantPS.Engine.Tests.Kernels.Generated;

/// <summary>The hazard of <see cref="WinogradTransform"/>: 64 times a sum has to be an int32. Everything else is the sweep's affair.</summary>
public class WinogradConvTests
{
    /// <summary>The most input channels of weights and inputs at the ends of their ranges that it takes: sums of 33,540,000 odd, next to 2^25; all of one sign, or of both by turns.</summary>
    [Theory]
    [InlineData(115, 127, 127)]
    [InlineData(114, -128, -128)]
    [InlineData(228, 127, -128)]
    public void Largest_sums_are_exact(int channels, int even, int odd)
    {
        Assert.SkipUnless(CpuFeatures.Current.Avx2Code, "Needs AVX2 and FMA.");
        const int outputs = 17, size = 7;
        int depth = channels * 9;
        var random = new Random(channels);
        var problem = new ConvProblem
        {
            Weight = Enumerable.Range(0, outputs * depth).Select(i => (sbyte)(i / 9 % 2 == 0 ? even : odd)).ToArray(),
            WeightZeroPoints = new int[outputs],
            OutputChannels = outputs,
            ChannelsPerGroup = channels,
            Geometry = new ConvGeometry([3, 3], padBegin: [1, 1], padEnd: [1, 1]),
            InputZeroPoint = 0,
            InputFlip = 0,
            Requantizer = EngineProfiles.Get(EngineKind.OnnxRuntime).CreateRequantizer(new RequantizationSpec
            {
                InputScale = 1,
                WeightScales = [1],
                PerChannelWeight = false,
                Bias = null,
                OutputChannels = outputs,
                OutputScale = 280_000,
                OutputZeroPoint = 128,
                OutputMin = 0,
                OutputMax = 255,
            }),
        };
        // With weights of both signs, the inputs that go with one of them: planes of 255, and planes of anything up to 3.
        byte[] planes = [.. Enumerable.Range(0, channels * size * size).Select(i => (byte)(even == odd || i / (size * size) % 2 == 0 ? 255 : random.Next(4)))];
        byte[] pixels = [.. Enumerable.Range(0, planes.Length).Select(i => planes[i % channels * size * size + i / channels])];
        byte[] expected = new byte[outputs * size * size], actual = new byte[expected.Length];
        new ReferenceConv(problem).Run(planes, 1, [size, size], expected);
        foreach (WinogradTarget target in CpuFeatures.Current.Avx512Vnni ? [WinogradTarget.Avx2, WinogradTarget.Avx512Vnni] : new[] { WinogradTarget.Avx2 })
        {
            ConvKernel kernel = WinogradConv.TryCreate(problem, target, always: true)!;
            kernel.Run(pixels, 1, [size, size], actual);

            Assert.Equal(expected, Enumerable.Range(0, expected.Length).Select(i => actual[i % (size * size) * outputs + i / (size * size)]));
            (kernel as IDisposable)!.Dispose();
        }
    }

    /// <summary>Where costs were not measured, the first images of a size are run both ways: the same bytes each time.</summary>
    [Fact]
    public void Ways_that_are_timed_agree()
    {
        Assert.SkipUnless(CpuFeatures.Current.Avx2Code, "Needs AVX2 and FMA.");
        var costs = new WinogradCosts(DirectPixel: 1, TileProducts: 16, InputTransform: 0, OutputTransform: 0, WeightTransform: 0, Measured: false);
        Assert.Null(costs.Pays(tiles: 4, blocks: 1, pixels: 64, inputs: 32, outputs: 32));
        Assert.True((costs with { Measured = true }).Pays(tiles: 3, blocks: 1, pixels: 64, inputs: 32, outputs: 32));
        Assert.True(costs.Pays(tiles: 1, blocks: 1, pixels: 64, inputs: 32, outputs: 32));
        Assert.False(costs.Pays(tiles: 9, blocks: 1, pixels: 64, inputs: 32, outputs: 32));

        ConvCase c = Enumerable.Range(0, int.MaxValue).Select(i => ConvCase.Make("winograd", i)).First(c => c.OutputSpatial.All(s => s > 8) && WinogradConv.TryCreate(c.Problem, WinogradTarget.Avx2) is not null);
        using var kernel = (WinogradConv)WinogradConv.TryCreate(c.Problem, WinogradTarget.Avx2 with { Costs = costs })!;
        byte[]? expected = null;
        for (int run = 0; run < 14; run++)
        {
            byte[] actual = new byte[c.Batch * c.OutputChannels * c.OutputSpatial.Aggregate(1, (a, b) => a * b)];
            kernel.Run(c.Numbers!.Input, c.Batch, c.Spatial, actual);
            Assert.Equal(expected ??= actual, actual);
        }
    }
}
