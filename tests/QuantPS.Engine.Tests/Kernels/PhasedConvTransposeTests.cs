using QuantPS.Engine.Kernels;
using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Numerics.Engines;
using QuantPS.Engine.Numerics.Requantization;

namespace QuantPS.Engine.Tests.Kernels;

/// <summary>Transposed convolutions by their phases equal the reference: windows that overlap, touch and leave gaps, dilated ones without a stride, padding also beyond a window and other on one side than on the other, groups, signals.</summary>
public class PhasedConvTransposeTests
{
    [Theory]
    [InlineData(EngineKind.Fbgemm)]
    [InlineData(EngineKind.OnnxRuntime)]
    public void EqualsTheReference(EngineKind engine)
    {
        var random = new Random(57);
        int phased = 0;
        for (int draw = 0; draw < 120; draw++)
        {
            int rank = random.Next(1, 3), groups = random.Next(3) == 0 ? random.Next(2, 5) : 1, inputs = groups * random.Next(1, 12), outputs = groups * random.Next(1, 12), batch = random.Next(1, 3);
            int[] kernel = Numbers(rank, _ => random.Next(1, 7)), stride = Numbers(rank, _ => random.Next(1, 5));
            int[] dilation = [.. stride.Select(s => s == 1 ? random.Next(1, 4) : 1)], reach = [.. kernel.Select((k, d) => dilation[d] * (k - 1))];
            // Both together leave something of the smallest input.
            int[] padding = Numbers(rank, d => random.Next(reach[d] + 1)), paddingEnd = Numbers(rank, d => random.Next(Math.Min(reach[d], reach[d] - padding[d] + 3 * stride[d]) + 1));
            if (draw % 2 == 0)
                padding = paddingEnd = Numbers(rank, d => random.Next(Math.Min(reach[d], (reach[d] + 3 * stride[d]) / 2) + 1));
            ConvTransposeGeometry geometry = new(kernel, stride, padding, [.. stride.Select((s, d) => random.Next(Math.Max(s, dilation[d])))], dilation, groups, paddingEnd);
            int[] spatial = Numbers(rank, _ => random.Next(4, 9)), to = geometry.OutputSize(spatial);
            ConvTransposeProblem problem = Problem(random, EngineProfiles.Get(engine), geometry, inputs, outputs);
            // Null where the kernel that a variable forces, or that is left for this engine and these groups, works plane by plane.
            using PhasedConvTranspose? conv = PhasedConvTranspose.TryCreate(problem, EngineProfiles.Get(engine).CreateRequantizer);
            if (conv is null)
                continue;
            phased++;
            int area = spatial.Aggregate(1, (a, b) => a * b), outArea = to.Aggregate(1, (a, b) => a * b);
            byte[] x = new byte[batch * inputs * area], pixels = new byte[x.Length];
            random.NextBytes(x);
            LayoutConversion.ToChannelsLast(x, pixels, batch, inputs, area);
            byte[] expected = new byte[batch * outputs * outArea], y = new byte[expected.Length], actual = new byte[expected.Length];
            new ReferenceConvTranspose(problem).Run(x, batch, spatial, expected);
            conv.Run(pixels, batch, spatial, y);
            LayoutConversion.ToContiguous(y, actual, batch, outputs, outArea);
            Assert.True(expected.AsSpan().SequenceEqual(actual), $"draw {draw}: {inputs}->{outputs} {geometry} of {string.Join("x", spatial)}, {conv.Name}");
        }
        Assert.True(phased > 60 || Environment.GetEnvironmentVariable("QUANTPS_KERNEL") is not null || !System.Runtime.Intrinsics.Vector256.IsHardwareAccelerated, $"{phased}");
    }

    /// <summary>Dilated windows with a stride and three dimensions are the reference's.</summary>
    [Fact]
    public void OtherWindowsAreNot()
    {
        EngineProfile profile = EngineProfiles.Get(EngineKind.OnnxRuntime);
        foreach (ConvTransposeGeometry geometry in (ConvTransposeGeometry[])[new([3, 3], [2, 2], dilation: [2, 1]), new([2, 2, 2], [2, 2, 2])])
            Assert.Null(PhasedConvTranspose.TryCreate(Problem(new Random(1), profile, geometry, 8, 8), profile.CreateRequantizer));
    }

    private static int[] Numbers(int count, Func<int, int> next) => [.. Enumerable.Range(0, count).Select(next)];

    private static ConvTransposeProblem Problem(Random random, EngineProfile profile, ConvTransposeGeometry geometry, int inputs, int outputs)
    {
        int taps = geometry.Kernel.Aggregate(1, (a, b) => a * b);
        var weight = new sbyte[inputs * (outputs / geometry.Groups) * taps];
        random.NextBytes((byte[])(Array)weight);
        return new ConvTransposeProblem
        {
            Weight = weight,
            WeightZeroPoints = new int[outputs],
            InputChannels = inputs,
            OutputChannels = outputs,
            Geometry = geometry,
            InputZeroPoint = random.Next(256),
            InputFlip = 0,
            Requantizer = profile.CreateRequantizer(new RequantizationSpec
            {
                InputScale = 0.02f,
                WeightScales = [0.01f],
                PerChannelWeight = false,
                Bias = [.. Enumerable.Range(0, outputs).Select(_ => random.NextSingle() - 0.5f)],
                OutputChannels = outputs,
                OutputScale = 0.1f * MathF.Sqrt(inputs * taps),
                OutputZeroPoint = 120,
                OutputMin = 0,
                OutputMax = 255,
            }),
        };
    }
}
