using QuantPS.Engine.Kernels;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Numerics.Engines;
using QuantPS.Engine.Numerics.Requantization;

namespace QuantPS.Engine.Tests.Kernels;

public class EmptyBatchTests
{
    /// <summary>A batch of no images is a batch: every kernel of the ladder that takes the layer does nothing, on maps of every kind of tiling.</summary>
    [Theory]
    [InlineData(16, 16, 3, 1, 20)]
    [InlineData(16, 16, 3, 1, 5)]
    [InlineData(16, 16, 1, 1, 20)]
    [InlineData(32, 32, 3, 32, 20)]
    public void No_images_give_no_images(int channels, int outputs, int kernel, int groups, int size)
    {
        var problem = new ConvProblem
        {
            Weight = new sbyte[outputs * (channels / groups) * kernel * kernel],
            WeightZeroPoints = new int[outputs],
            OutputChannels = outputs,
            ChannelsPerGroup = channels / groups,
            Geometry = new ConvGeometry([kernel, kernel], groups: groups),
            InputZeroPoint = 0,
            InputFlip = 0,
            Requantizer = EngineProfiles.Get(EngineKind.OnnxRuntime).CreateRequantizer(new RequantizationSpec
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
            }),
        };
        foreach ((_, Func<CpuFeatures, bool> runs, Func<ConvProblem, ConvKernel?> make) in KernelSelector.ConvLadder)
        {
            if (runs(CpuFeatures.Current) && make(problem) is { } conv)
                conv.Run(Array.Empty<byte>(), 0, [size, size], Array.Empty<byte>());
        }
    }
}
