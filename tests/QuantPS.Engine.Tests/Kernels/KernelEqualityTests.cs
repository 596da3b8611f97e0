using QuantPS.Engine.Kernels;
using QuantPS.Engine.Kernels.Generated;
using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Kernels.Vector;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics.Engines;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Numerics.Requantization;

namespace QuantPS.Engine.Tests.Kernels;

/// <summary>Every kernel equals the reference, bit for bit, on random problems: all ranks, groups, strides, dilations, paddings, zero points, remainders.</summary>
public class KernelEqualityTests
{
    private const int Cases = 1500;

    /// <summary>Name of the kernel, made for a problem or null where it does not take it. Every instruction set that this CPU has.</summary>
    public static TheoryData<string> ConvKernels() => [.. Convs().Where(k => k.Runs).Select(k => k.Name)];

    public static TheoryData<string> LinearKernels() => [.. Linears().Where(k => k.Runs).Select(k => k.Name)];

    [Theory, MemberData(nameof(ConvKernels))]
    public void Convolution_equals_the_reference(string name)
    {
        Func<ConvProblem, ConvKernel?> make = Convs().Single(k => k.Name == name).Make;
        var random = new Random(20);
        int taken = 0;
        for (int i = 0; i < Cases; i++)
        {
            (ConvProblem problem, int[] spatial) = RandomConv(random);
            int batch = random.Next(1, 3);
            byte[] input = Bytes(random, batch * problem.InputChannels * spatial.Aggregate(1, (a, b) => a * b));
            int outputs = batch * problem.OutputChannels * problem.Geometry.OutputSize(spatial).Aggregate(1, (a, b) => a * b);
            byte[] expected = new byte[outputs], actual = new byte[outputs];
            if (make(problem) is not { } kernel)
                continue;
            taken++;
            new ReferenceConv(problem).Run(input, batch, spatial, expected);
            bool last = kernel.Layout == KernelLayout.ChannelsLast;
            kernel.Run(last ? ToChannelsLast(input, batch, problem.InputChannels) : input, batch, spatial, actual);
            if (last)
                expected = ToChannelsLast(expected, batch, problem.OutputChannels);
            Assert.True(expected.AsSpan().SequenceEqual(actual), $"case {i}: {problem.InputChannels}->{problem.OutputChannels} {problem.Geometry} on [{string.Join(",", spatial)}] batch {batch}");
        }
        Assert.InRange(taken, Cases / 10, Cases);
    }

    [Fact]
    public void Depthwise_equals_the_reference()
    {
        var random = new Random(23);
        for (int i = 0; i < Cases; i++)
        {
            int rank = random.Next(1, 4), channels = random.Next(16, 70);
            int[] kernel = Draw(1, 6), stride = Draw(1, 3), dilation = Draw(1, 3), before = Draw(0, 3), after = Draw(0, 3);
            int[] spatial = [.. Enumerable.Range(0, rank).Select(d => Math.Max(1, dilation[d] * (kernel[d] - 1) + 1 - before[d] - after[d]) + random.Next(0, rank == 3 ? 3 : 8))];
            int depth = kernel.Aggregate(1, (a, b) => a * b);
            var problem = new ConvProblem
            {
                Weight = SBytes(random, channels * depth),
                WeightZeroPoints = new int[channels],
                OutputChannels = channels,
                ChannelsPerGroup = 1,
                Geometry = new ConvGeometry(kernel, stride, before, after, dilation, channels),
                InputZeroPoint = random.Next(256),
                InputFlip = random.Next(3) == 0 ? (byte)0x80 : (byte)0,
                Requantizer = RandomRequantizer(random, channels, depth),
            };
            int area = spatial.Aggregate(1, (a, b) => a * b);
            byte[] input = Bytes(random, 2 * channels * area), expected = new byte[2 * channels * problem.Geometry.OutputSize(spatial).Aggregate(1, (a, b) => a * b)], actual = new byte[expected.Length];
            new ReferenceConv(problem).Run(input, 2, spatial, expected);
            VectorDepthwise.TryCreate(problem)!.Run(ToChannelsLast(input, 2, channels), 2, spatial, actual);
            Assert.True(ToChannelsLast(expected, 2, channels).AsSpan().SequenceEqual(actual), $"case {i}: {channels} channels, {problem.Geometry} on [{string.Join(",", spatial)}]");

            int[] Draw(int low, int high) => [.. Enumerable.Range(0, rank).Select(_ => random.Next(low, rank == 3 ? Math.Min(high, 4) : high))];
        }
    }

    [Theory, MemberData(nameof(LinearKernels))]
    public void Linear_equals_the_reference(string name)
    {
        Func<LinearProblem, LinearKernel?> make = Linears().Single(k => k.Name == name).Make;
        var random = new Random(21);
        for (int i = 0; i < Cases; i++)
        {
            int rows = random.Next(1, 12), features = random.Next(1, 150), outputs = random.Next(1, 40);
            byte flip = random.Next(2) == 0 ? (byte)0 : (byte)0x80;
            var problem = new LinearProblem
            {
                Weight = SBytes(random, outputs * features),
                WeightZeroPoints = ZeroPoints(random, outputs),
                OutputFeatures = outputs,
                InputFeatures = features,
                InputZeroPoint = random.Next(256),
                InputFlip = flip,
                Requantizer = RandomRequantizer(random, outputs, features),
            };
            byte[] input = Bytes(random, rows * features), expected = new byte[rows * outputs], actual = new byte[rows * outputs];
            new ReferenceLinear(problem).Run(input, rows, expected);
            make(problem)!.Run(input, rows, actual);
            Assert.True(expected.AsSpan().SequenceEqual(actual), $"case {i}: {features}->{outputs}, {rows} rows");
        }
    }

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
    public void Ladder_is_a_function_of_cpu_and_force(string? forced, bool vnni512, bool vnni, bool avx2, bool vector128, string expected, bool armDp = false)
    {
        (ConvProblem problem, _) = Dense();
        Assert.Equal(expected, KernelSelector.Select(problem, new CpuFeatures(vnni512, vnni, avx2, vector128, armDp), KernelSelector.Forced(forced)).Name);
    }

    [Theory]
    [InlineData(8, 1, true, "generated-depthwise-nhwc-64-avx512vnni")]
    [InlineData(32, 1, false, "vector-depthwise-nhwc-16")]
    [InlineData(8, 1, false, "reference-conv")] // too few channels for a vector of 16, too few products for im2col
    [InlineData(8, 2, true, "reference-conv")] // two output channels a group: neither depthwise nor deep
    public void Ladder_for_shallow_convolutions(int groups, int outputsPerGroup, bool vnni512, string expected)
    {
        int outputs = groups * outputsPerGroup;
        var problem = new ConvProblem
        {
            Weight = new sbyte[outputs * 9],
            WeightZeroPoints = new int[outputs],
            OutputChannels = outputs,
            ChannelsPerGroup = 1,
            Geometry = new ConvGeometry([3, 3], groups: groups),
            InputZeroPoint = 0,
            InputFlip = 0,
            Requantizer = RandomRequantizer(new Random(1), outputs, 9),
        };
        Assert.Equal(expected, KernelSelector.Select(problem, new CpuFeatures(vnni512, true, true, true), null).Name);
    }

    [Fact]
    public void Unknown_force_is_an_error_that_names_the_choices()
    {
        var e = Assert.Throws<Engine.Errors.QuantException>(() => KernelSelector.Forced("turbo"));
        Assert.Equal(Engine.Errors.ErrorIds.InvalidForcedKernel, e.ErrorId);
        Assert.Contains("reference, vector or generated", e.Message, StringComparison.Ordinal);
    }

    private static byte[] ToChannelsLast(byte[] planes, int batch, int channels)
    {
        int area = planes.Length / batch / channels;
        var pixels = new byte[planes.Length];
        for (int n = 0; n < batch; n++)
            for (int c = 0; c < channels; c++)
                for (int i = 0; i < area; i++)
                    pixels[(n * area + i) * channels + c] = planes[(n * channels + c) * area + i];
        return pixels;
    }

    private static (string Name, bool Runs, Func<ConvProblem, ConvKernel?> Make)[] Convs() =>
    [
        ("generated", CpuFeatures.Current.Avx512Vnni, GeneratedConv.TryCreate),
        ("avxvnni", CpuFeatures.Current.AvxVnni, VectorConv<AvxVnniDotProduct>.TryCreate),
        ("avx2", CpuFeatures.Current.Avx2, VectorConv<Avx2DotProduct>.TryCreate),
        ("vector128", true, VectorConv<PortableDotProduct>.TryCreate),
    ];

    private static (string Name, bool Runs, Func<LinearProblem, LinearKernel?> Make)[] Linears() =>
    [
        ("avxvnni", CpuFeatures.Current.AvxVnni, p => new VectorLinear<AvxVnniDotProduct>(p)),
        ("avx2", CpuFeatures.Current.Avx2, p => new VectorLinear<Avx2DotProduct>(p)),
        ("vector128", true, p => new VectorLinear<PortableDotProduct>(p)),
    ];

    private static (ConvProblem Problem, int[] Spatial) Dense()
    {
        var problem = new ConvProblem
        {
            Weight = new sbyte[16 * 16 * 9],
            WeightZeroPoints = new int[16],
            OutputChannels = 16,
            ChannelsPerGroup = 16,
            Geometry = new ConvGeometry([3, 3]),
            InputZeroPoint = 0,
            InputFlip = 0,
            Requantizer = RandomRequantizer(new Random(1), 16, 144),
        };
        return (problem, [5, 5]);
    }

    private static (ConvProblem Problem, int[] Spatial) RandomConv(Random random)
    {
        int rank = random.Next(1, 4), groups = random.Next(4) == 0 ? random.Next(2, 5) : 1;
        int perGroup = random.Next(1, rank == 3 ? 8 : 20), outputs = groups * random.Next(1, 20);
        int[] kernel = Draw(1, 4), stride = Draw(1, 4), dilation = Draw(1, 3), before = Draw(0, 3), after = Draw(0, 3);
        var spatial = new int[rank];
        for (int d = 0; d < rank; d++)
            spatial[d] = Math.Max(1, dilation[d] * (kernel[d] - 1) + 1 - before[d] - after[d]) + random.Next(0, rank == 3 ? 4 : 9);
        int depth = perGroup * kernel.Aggregate(1, (a, b) => a * b);
        var problem = new ConvProblem
        {
            Weight = SBytes(random, outputs * depth),
            WeightZeroPoints = ZeroPoints(random, outputs),
            OutputChannels = outputs,
            ChannelsPerGroup = perGroup,
            Geometry = new ConvGeometry(kernel, stride, before, after, dilation, groups),
            InputZeroPoint = random.Next(256),
            InputFlip = random.Next(3) == 0 ? (byte)0x80 : (byte)0,
            Requantizer = RandomRequantizer(random, outputs, depth),
        };
        return (problem, spatial);

        int[] Draw(int low, int high) => [.. Enumerable.Range(0, rank).Select(_ => random.Next(low, high))];
    }

    private static Requantizer RandomRequantizer(Random random, int outputs, int depth)
    {
        bool perChannel = random.Next(2) == 0;
        var spec = new RequantizationSpec
        {
            InputScale = 0.01f + random.NextSingle(),
            WeightScales = [.. Enumerable.Range(0, perChannel ? outputs : 1).Select(_ => 0.001f + random.NextSingle() * 0.1f)],
            PerChannelWeight = perChannel,
            Bias = random.Next(5) == 0 ? null : [.. Enumerable.Range(0, outputs).Select(_ => (random.NextSingle() - 0.5f) * 100)],
            OutputChannels = outputs,
            OutputScale = 0.5f + random.NextSingle() * MathF.Sqrt(depth),
            OutputZeroPoint = random.Next(256),
            OutputMin = 0,
            OutputMax = 255,
            Relu = random.Next(3) == 0,
        };
        EngineKind[] engines = [EngineKind.Fbgemm, EngineKind.Qnnpack, EngineKind.OneDnn, EngineKind.OnnxRuntime];
        return EngineProfiles.Get(engines[random.Next(engines.Length)]).CreateRequantizer(spec);
    }

    private static int[] ZeroPoints(Random random, int count) => random.Next(2) == 0 ? new int[count] : [.. Enumerable.Range(0, count).Select(_ => random.Next(-128, 128))];

    private static byte[] Bytes(Random random, int count)
    {
        var bytes = new byte[count];
        random.NextBytes(bytes);
        return bytes;
    }

    private static sbyte[] SBytes(Random random, int count) => (sbyte[])(Array)Bytes(random, count);
}
