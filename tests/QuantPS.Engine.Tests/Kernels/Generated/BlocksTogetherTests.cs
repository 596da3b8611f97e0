using QuantPS.Engine.Kernels;
using QuantPS.Engine.Kernels.Generated;
using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Numerics.Engines;
using QuantPS.Engine.Numerics.Requantization;

namespace QuantPS.Engine.Tests.Kernels.Generated;

/// <summary>Blocks of 8 output channels that share groups of quads, and blocks that do not; what the sweep draws need not be either.</summary>
[Collection(nameof(KernelThreads))]
public class BlocksTogetherTests
{
    private const int Block = 8, Inputs = 64, Quads = Inputs / 4;

    /// <summary>Which weights, of an output and an input channel; and whether two blocks of them cost less together, for inputs of 8 bits.</summary>
    public static TheoryData<string, bool> Weights => new() { { "narrow", true }, { "one of two wide", false } };

    [Theory, MemberData(nameof(Weights))]
    public void Two_blocks_cost_less_together_if_they_agree(string weights, bool together)
    {
        int both = Fit(0, 2).Instructions, each = Fit(0, 1).Instructions + Fit(1, 1).Instructions;
        Assert.Equal(together, both < each);

        FittedQuads Fit(int block, int count)
        {
            var packed = new sbyte[Quads * count * Block * 4];
            for (int i = 0; i < packed.Length; i++)
                packed[i] = Weight(weights, block * Block + i / 4 % (count * Block), i / (count * Block * 4) * 4 + i % 4);
            return new FittedQuads(packed, count, byte.MaxValue);
        }
    }

    /// <summary>20 output channels: two blocks, and half of a third; 13 pixels: tiles of 7 and 6, in two parts each.</summary>
    [Theory]
    [InlineData("narrow", 128)]
    [InlineData("narrow", 256)]
    [InlineData("one of two wide", 128)]
    [InlineData("one of two wide", 256)]
    public void Either_way_is_exact(string weights, int inputsBelow)
    {
        Assert.SkipUnless(CpuFeatures.Current.Avx2Code, "Needs AVX2 and FMA.");
        const int outputs = 20, width = 13;
        ConvProblem problem = Problem(weights, outputs);
        var random = new Random(inputsBelow);
        byte[] pixels = [.. Enumerable.Range(0, width * Inputs).Select(_ => (byte)random.Next(inputsBelow))], planes = [.. Enumerable.Range(0, pixels.Length).Select(i => pixels[i % width * Inputs + i / width])];
        byte[] expected = new byte[outputs * width], actual = new byte[expected.Length];
        new ReferenceConv(problem).Run(planes, 1, [1, width], expected);
        TiledConv kernel = GeneratedConv256.TryCreate(problem)!;
        kernel.Run(pixels, 1, [1, width], actual);

        Assert.Equal(expected, Enumerable.Range(0, expected.Length).Select(i => actual[i % width * outputs + i / width]));
        // More than the ends of the range.
        Assert.InRange(expected.Distinct().Count(), 20, 256);
        kernel.Dispose();
    }

    /// <summary>Weights for all inputs are made while other threads ask whether to look for large ones; these are such that nobody does any more.</summary>
    [Fact]
    public void Weights_for_all_inputs_are_made_by_any_thread()
    {
        Assert.SkipUnless(CpuFeatures.Current.Avx2Code, "Needs AVX2 and FMA.");
        const int outputs = 16, width = 2000;
        int before = KernelThreads.Count;
        KernelThreads.Count = 4;
        try
        {
            byte[] pixels = new byte[width * Inputs], expected = new byte[width * outputs], actual = new byte[expected.Length];
            new Random(3).NextBytes(pixels);
            for (int i = 0; i < 200; i++)
            {
                using TiledConv kernel = GeneratedConv256.TryCreate(Problem("narrow", outputs))!;
                kernel.Run(pixels, 1, [1, width], i == 0 ? expected : actual);
                if (i > 0)
                    Assert.Equal(expected, actual);
            }
        }
        finally
        {
            KernelThreads.Count = before;
        }
    }

    private static ConvProblem Problem(string weights, int outputs) => new()
    {
        Weight = Enumerable.Range(0, outputs * Inputs).Select(i => Weight(weights, i / Inputs, i % Inputs)).ToArray(),
        WeightZeroPoints = new int[outputs],
        OutputChannels = outputs,
        ChannelsPerGroup = Inputs,
        Geometry = new ConvGeometry([1, 1]),
        InputZeroPoint = 0,
        InputFlip = 0,
        Requantizer = EngineProfiles.Get(EngineKind.OnnxRuntime).CreateRequantizer(new RequantizationSpec
        {
            InputScale = 1,
            WeightScales = [.. Enumerable.Range(0, outputs).Select(o => weights != "narrow" && o / Block % 2 == 1 ? 0.05f : 1)],
            PerChannelWeight = true,
            Bias = null,
            OutputChannels = outputs,
            OutputScale = 150,
            OutputZeroPoint = 128,
            OutputMin = 0,
            OutputMax = 255,
        }),
    };

    /// <summary>Narrow: eight of them are less than 128. One of two wide: of the odd block no two quads fit together, so that in the even one none would either.</summary>
    private static sbyte Weight(string weights, int output, int input)
    {
        int any = (output * 31 + input * 17) % 7 - 3;
        return (sbyte)(weights != "narrow" && output / Block % 2 == 1 ? 40 + any : 3 * any);
    }
}
