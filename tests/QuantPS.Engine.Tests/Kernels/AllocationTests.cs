using QuantPS.Engine.Kernels;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Numerics.Engines;
using QuantPS.Engine.Numerics.Requantization;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Tests.Kernels;

/// <summary>A kernel that has run once on a shape allocates nothing when it runs again, on one thread and on two.</summary>
[Collection(nameof(KernelThreads))]
public sealed class AllocationTests : IDisposable
{
    private readonly int threadsBefore = KernelThreads.Count;

    public static TheoryData<string, int> Tiers()
    {
        TheoryData<string, int> data = [];
        foreach (KernelTier tier in new[] { KernelTier.Vector, KernelTier.Generated })
            foreach (int threads in new[] { 1, 2 })
                data.Add(tier.ToString(), threads);
        return data;
    }

    public void Dispose() => KernelThreads.Count = threadsBefore;

    [Theory, MemberData(nameof(Tiers))]
    public void Convolutions_allocate_nothing(string tier, int threads)
    {
        KernelThreads.Count = threads;
        foreach ((int channels, int outputs, int kernel, int groups) in new[] { (16, 24, 3, 1), (64, 64, 1, 1), (3, 8, 3, 1), (48, 48, 3, 48) })
        {
            var problem = new ConvProblem
            {
                Weight = new sbyte[outputs * (channels / groups) * kernel * kernel],
                WeightZeroPoints = new int[outputs],
                OutputChannels = outputs,
                ChannelsPerGroup = channels / groups,
                Geometry = new ConvGeometry([kernel, kernel], padBegin: [kernel / 2, kernel / 2], padEnd: [kernel / 2, kernel / 2], groups: groups),
                InputZeroPoint = 3,
                InputFlip = 0,
                Requantizer = Requantizer(outputs),
            };
            ConvKernel conv = KernelSelector.Select(problem, CpuFeatures.Current, Enum.Parse<KernelTier>(tier));
            Memory<byte> x = new AlignedBuffer<byte>(2 * channels * 15 * 17).Memory, y = new AlignedBuffer<byte>(2 * outputs * 15 * 17).Memory;
            int[] spatial = [15, 17];
            AllocatesNothing(conv.Name, () => conv.Run(x, 2, spatial, y));
        }
    }

    [Theory, MemberData(nameof(Tiers))]
    public void Linear_layers_allocate_nothing(string tier, int threads)
    {
        KernelThreads.Count = threads;
        LinearKernel linear = KernelSelector.Select(new LinearProblem
        {
            Weight = new sbyte[100 * 70],
            WeightZeroPoints = new int[100],
            OutputFeatures = 100,
            InputFeatures = 70,
            InputZeroPoint = 3,
            InputFlip = 0,
            Requantizer = Requantizer(100),
        }, CpuFeatures.Current, Enum.Parse<KernelTier>(tier));
        Memory<byte> x = new AlignedBuffer<byte>(33 * 70).Memory, y = new AlignedBuffer<byte>(33 * 100).Memory;
        AllocatesNothing(linear.Name, () => linear.Run(x, 33, y));
    }

    internal static void AllocatesNothing(string name, Action run)
    {
        const int runs = 200, attempts = 5;
        for (int i = 0; i < 20; i++)
            run();
        // Of this thread: it does a part of every run, and with one thread all of it. What the runtime allocates once, when it makes better code of
        // a method, is gone in a later attempt; what a call allocates is there in all of them.
        long least = long.MaxValue;
        for (int attempt = 0; attempt < attempts && least > 0; attempt++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < runs; i++)
                run();
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }
        Assert.True(least == 0, $"{name}: {least / (double)runs} bytes a run");
    }

    private static Requantizer Requantizer(int outputs) => EngineProfiles.Get(EngineKind.OnnxRuntime).CreateRequantizer(new RequantizationSpec
    {
        InputScale = 0.1f,
        WeightScales = [0.1f],
        PerChannelWeight = false,
        Bias = null,
        OutputChannels = outputs,
        OutputScale = 1f,
        OutputZeroPoint = 7,
        OutputMin = 0,
        OutputMax = 255,
    });
}
