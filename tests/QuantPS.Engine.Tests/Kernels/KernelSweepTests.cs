using System.Text;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Kernels.Generated;
using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Numerics.Requantization;

namespace QuantPS.Engine.Tests.Kernels;

/// <summary>Every kernel of the ladder that this CPU runs equals the reference bit for bit on every shape of the sweep that it takes, and reads and
/// writes nothing but its own: input, output and packed weights lie at guard pages.</summary>
/// <remarks>A stray access ends the process. The case that ran is then the content of <see cref="LastCase"/> in the system's folder for temporary
/// files; a failed comparison says it in its message.</remarks>
[Collection(nameof(KernelThreads))]
public sealed class KernelSweepTests : IDisposable
{
    private const int PromisedConvolutions = 20_000, PromisedLinears = 3_000;
    private static readonly string LastCase = $"QuantPS.KernelSweep.{Environment.ProcessId}.txt";

    // The Arm64 kernels as well: without SDOT the instruction alone is replaced, all that is around it is the same (see ArmDotProduct).
    private static readonly CpuFeatures Swept = CpuFeatures.Current with { ArmDp = true };

    private readonly int threadsBefore = KernelThreads.Count;
    private readonly FileStream lastCase = new(Path.Combine(Path.GetTempPath(), LastCase), FileMode.Create, FileAccess.Write, FileShare.ReadWrite, 1, FileOptions.DeleteOnClose);

    public static TheoryData<string> Strata() => [.. ConvCase.Strata.Keys];

    public void Dispose()
    {
        KernelThreads.Count = threadsBefore;
        lastCase.Dispose();
    }

    [Theory, MemberData(nameof(Strata))]
    public void Convolutions_equal_the_reference(string stratum)
    {
        // Winograd's transform also where images are too small for it to be taken.
        Func<ConvProblem, ConvKernel?>[] rungs = [.. Rungs(KernelSelector.ConvLadder), p => Swept.Avx2Code ? WinogradConv.TryCreate(p, WinogradTarget.Avx2, always: true) : null,
            p => Swept.Avx512Vnni ? WinogradConv.TryCreate(p, WinogradTarget.Avx512Vnni, always: true) : null];
        for (int i = 0; i < ConvCase.Strata[stratum].Count; i++)
        {
            ConvCase c = ConvCase.Make(stratum, i);
            ConvProblem problem = c.Problem;
            byte[] input = c.Numbers!.Input, expected = new byte[c.Batch * c.OutputChannels * c.OutputSpatial.Aggregate(1, (a, b) => a * b)];
            KernelThreads.Count = 1;
            new ReferenceConv(problem).Run(input, c.Batch, c.Spatial, expected);
            byte[] expectedLast = ToChannelsLast(expected, c.Batch, c.OutputChannels);
            using GuardedMemory planes = Guard(input, c.Numbers.InputSide), pixels = Guard(ToChannelsLast(input, c.Batch, c.InputChannels), c.Numbers.InputSide);
            foreach (Func<ConvProblem, ConvKernel?> make in rungs)
            {
                Check(c, c.Numbers, () => make(problem), k => k.Name, k => k.Layout == KernelLayout.ChannelsLast ? (pixels, expectedLast) : (planes, expected),
                    (k, x, y) => k.Run(x, c.Batch, c.Spatial, y));
            }
            // Every third one as the end of a residual block, too.
            if (i % 3 != 0)
                continue;
            BinaryRule rule = Sum(problem.Requantizer.Spec, i);
            var terms = new byte[expected.Length];
            new Random(i).NextBytes(terms);
            using GuardedMemory other = Guard(terms, c.Numbers.InputSide), otherLast = Guard(ToChannelsLast(terms, c.Batch, c.OutputChannels), c.Numbers.InputSide);
            ReferenceBinary.Run(expected, terms, expected, rule);
            expectedLast = ToChannelsLast(expected, c.Batch, c.OutputChannels);
            foreach (Func<ConvProblem, ConvKernel?> make in rungs)
            {
                Check(c, c.Numbers, () => make(problem), k => $"{k.Name} with a sum", k => k.Layout == KernelLayout.ChannelsLast ? (pixels, expectedLast) : (planes, expected),
                    (k, x, y) => k.Run(x, c.Batch, c.Spatial, y, new ConvResidual((k.Layout == KernelLayout.ChannelsLast ? otherLast : other).Memory, rule)));
            }
        }
    }

    /// <summary>Of a convolution's outputs and others of their dtype.</summary>
    private static BinaryRule Sum(RequantizationSpec spec, int seed)
    {
        var random = new Random(seed);
        QDType type = spec.OutputMin < 0 ? QDType.QInt8 : QDType.QUInt8;
        QParams Draw(float scale) => new(scale, random.Next(spec.OutputMin, spec.OutputMin + 256), type);
        return BinaryRule.ByRatios(new QParams(1f, spec.OutputZeroPoint, type), Draw(0.2f + random.NextSingle()), Draw(0.7f + random.NextSingle()), firstIsInner: seed % 2 == 0);
    }

    [Fact]
    public void Linear_layers_equal_the_reference()
    {
        Func<LinearProblem, LinearKernel?>[] rungs = Rungs(KernelSelector.LinearLadder);
        for (int i = 0; i < LinearCase.Count; i++)
        {
            LinearCase c = LinearCase.Make(i);
            LinearProblem problem = c.Problem;
            var expected = new byte[c.Rows * c.OutputFeatures];
            KernelThreads.Count = 1;
            new ReferenceLinear(problem).Run(c.Numbers.Input, c.Rows, expected);
            using GuardedMemory input = Guard(c.Numbers.Input, c.Numbers.InputSide);
            foreach (Func<LinearProblem, LinearKernel?> make in rungs)
                Check(c, c.Numbers, () => make(problem), k => k.Name, _ => (input, expected), (k, x, y) => k.Run(x, c.Rows, y));
        }
    }

    [Fact]
    public void The_sweep_is_as_wide_as_promised()
    {
        var shapes = new HashSet<string>();
        var seen = new HashSet<string>();
        foreach ((string stratum, (int count, _)) in ConvCase.Strata)
        {
            for (int i = 0; i < count; i++)
            {
                ConvCase c = ConvCase.Make(stratum, i, shapeOnly: true);
                shapes.Add(c.ShapeKey);
                Features(c, f => seen.Add(f));
            }
        }
        Assert.InRange(shapes.Count, PromisedConvolutions, int.MaxValue);
        Assert.InRange(LinearCase.Count, PromisedLinears, int.MaxValue);

        foreach (string kernel in new[] { "1x1", "3x3", "5x5", "7x7", "1x3", "3x1" })
        {
            foreach (string kind in new[] { "dense", "grouped", "depthwise" })
                Assert.Contains($"{kind} {kernel}", seen);
            for (int rest = 0; rest < 4; rest++)
                Assert.Contains($"{kernel} run bytes {rest} mod 4", seen);
        }
        for (int n = 1; n <= 70; n++)
            Assert.Contains($"{n} output channels", seen);
        foreach (int n in new[] { 79, 80, 81, 95, 96, 97, 127, 128, 129, 159, 160, 161, 191, 192, 193 })
            Assert.Contains($"{n} output channels", seen);
        for (int n = 1; n <= 60; n++)
            Assert.Contains($"{n} pixels a row", seen);
        // One channel is a dense convolution.
        for (int n = 2; n <= 200; n++)
            Assert.Contains($"depthwise of {n}", seen);
        for (int n = 1; n <= 3; n++)
            Assert.Superset(new HashSet<string> { $"stride {n}", $"dilation {n}", $"batch {n}", $"{n} dimensions" }, seen);
        Assert.Contains("asymmetric padding", seen);
    }

    /// <summary>No rung is there that the sweep says nothing about: each takes some of the cases of every formula, dtype and option.</summary>
    [Fact]
    public void Every_rung_takes_part()
    {
        Func<ConvProblem, ConvKernel?>[] rungs = Rungs(KernelSelector.ConvLadder);
        var taken = rungs.Select(_ => new HashSet<string>()).ToArray();
        var counts = new int[rungs.Length];
        var all = new HashSet<string>();
        foreach ((string stratum, (int count, _)) in ConvCase.Strata)
        {
            for (int i = 0; i < count; i += 10)
            {
                ConvCase c = ConvCase.Make(stratum, i);
                var spec = c.Numbers!.Requantizer.Spec;
                string[] features =
                [
                    c.Numbers.Requantizer.GetType().Name, spec.OutputMin < 0 ? "qint8 out" : "quint8 out", c.Numbers.InputFlip == 0 ? "quint8 in" : "qint8 in",
                    spec.Relu ? "ReLU" : "no ReLU", spec.Bias is null ? "no bias" : "bias", spec.PerChannelWeight ? "per channel" : "per tensor", $"{c.Numbers.Threads} threads",
                ];
                all.UnionWith(features);
                for (int k = 0; k < rungs.Length; k++)
                {
                    if (rungs[k](c.Problem) is not { } kernel)
                        continue;
                    (kernel as IDisposable)?.Dispose();
                    counts[k]++;
                    taken[k].UnionWith(features);
                }
            }
        }
        Assert.Equal(17, all.Count);
        Assert.All(taken, t => Assert.Equal(all, t));
        Assert.All(counts, n => Assert.InRange(n, 200, int.MaxValue));
    }

    private static Func<TProblem, TKernel?>[] Rungs<TProblem, TKernel>((KernelTier Tier, Func<CpuFeatures, bool> Runs, Func<TProblem, TKernel?> Make)[] ladder) =>
        [.. ladder.Where(r => r.Tier != KernelTier.Reference && r.Runs(Swept)).Select(r => r.Make)];

    private void Check<TKernel>(object c, SweepNumbers numbers, Func<TKernel?> make, Func<TKernel, string> name, Func<TKernel, (GuardedMemory Input, byte[] Expected)> data, Action<TKernel, Memory<byte>, Memory<byte>> run)
        where TKernel : class
    {
        using var guards = new PackedGuards(numbers.PackedSide);
        if (guards.During(make) is not { } kernel)
            return;
        using var owner = kernel as IDisposable;
        string what = $"{name(kernel)}, {c}";
        Assert.True(guards.Count > 0, $"{what}: packs outside {nameof(PackedMemory)}, so nothing guards it.");
        (GuardedMemory input, byte[] expected) = data(kernel);
        using var output = new GuardedMemory(expected.Length, numbers.OutputSide);
        // A byte that is not written stays wrong.
        for (int i = 0; i < expected.Length; i++)
            output.GetSpan()[i] = (byte)~expected[i];
        Remember(what);
        KernelThreads.Count = numbers.Threads;
        // Kernels may pack more when they see the first input's size.
        guards.During(() =>
        {
            run(kernel, input.Memory, output.Memory);
            return true;
        });
        Span<byte> actual = output.GetSpan();
        int same = actual.CommonPrefixLength(expected);
        if (same < expected.Length)
            Assert.Fail($"{what}: byte {same} of {expected.Length} is {actual[same]}, the reference has {expected[same]}; {Enumerable.Range(0, expected.Length).Count(i => output.GetSpan()[i] != expected[i])} bytes differ.");
        Assert.True(output.Intact && guards.Intact, $"{what}: wrote beside its memory.");
        GC.KeepAlive(kernel);
    }

    private static GuardedMemory Guard(byte[] input, GuardSide side)
    {
        var memory = new GuardedMemory(input.Length, side);
        input.CopyTo(memory.GetSpan());
        memory.MakeReadOnly();
        return memory;
    }

    private void Remember(string what)
    {
        byte[] text = Encoding.UTF8.GetBytes(what + "\n");
        RandomAccess.Write(lastCase.SafeFileHandle, text, 0);
        RandomAccess.SetLength(lastCase.SafeFileHandle, text.Length);
    }

    private static void Features(ConvCase c, Action<string> add)
    {
        ConvGeometry g = c.Geometry;
        string kernel = string.Join("x", g.Kernel), kind = g.Groups == 1 ? "dense" : c.ChannelsPerGroup == 1 && c.OutputChannels == g.Groups ? "depthwise" : "grouped";
        add($"{kind} {kernel}");
        add($"{g.SpatialRank} dimensions");
        add($"batch {c.Batch}");
        if (kind == "depthwise")
            add($"depthwise of {c.InputChannels}");
        if (kind == "dense" && g.SpatialRank == 2)
        {
            add($"{c.OutputChannels} output channels");
            add($"{c.OutputSpatial[1]} pixels a row");
            add($"{kernel} run bytes {g.Kernel[1] * c.InputChannels % 4} mod 4");
        }
        foreach (int s in g.Stride)
            add($"stride {s}");
        foreach (int d in g.Dilation)
            add($"dilation {d}");
        if (!g.PadBegin.AsSpan().SequenceEqual(g.PadEnd))
            add("asymmetric padding");
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
}

/// <summary>Tests that set the process-wide <see cref="KernelThreads.Count"/> run one after the other.</summary>
[CollectionDefinition(nameof(KernelThreads))]
public sealed class KernelThreadsCollection;
