using QuantPS.Engine.Kernels;
using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Kernels.Vector;

namespace QuantPS.Engine.Tests.Kernels;

[Collection(nameof(KernelThreads))]
public class ChannelPickTests
{
    /// <summary>Shuffles, cuts, repeats and anything, around the vector's 16 channels, between guard pages.</summary>
    [Fact]
    public void Vectors_equal_the_reference_and_keep_to_their_memory()
    {
        var random = new Random(16);
        int byVectors = 0, before = KernelThreads.Count;
        try
        {
            for (int i = 0; i < 3000; i++)
            {
                int channels = 1 + i % 150, groups = random.Next(1, 5), pixels = random.Next(1, 40), start = random.Next(channels);
                int[] picked = (i % 4) switch
                {
                    0 => [.. Enumerable.Range(0, channels / groups * groups).Select(c => c % groups * (channels / groups) + c / groups)],
                    1 => [.. Enumerable.Range(start, channels - start)],
                    2 => [.. Enumerable.Range(0, random.Next(1, 100)).Select(c => channels * c / 100)],
                    _ => [.. Enumerable.Range(0, random.Next(1, 60)).Select(_ => random.Next(channels))],
                };
                if (picked.Length == 0)
                    continue;
                byte[] x = new byte[pixels * channels], expected = new byte[pixels * picked.Length];
                random.NextBytes(x);
                ReferenceChannelPick.Run(x, expected, channels, picked);
                GuardSide side = i % 2 == 0 ? GuardSide.Before : GuardSide.Behind;
                using GuardedMemory input = new(x.Length, side), output = new(expected.Length, side);
                x.CopyTo(input.GetSpan());
                KernelThreads.Count = 1 + i % 3;
                new ChannelPickKernel(channels, picked).Run(input.Memory, output.Memory);

                Assert.Equal(expected, output.GetSpan().ToArray());
                byVectors += VectorChannelPick.TryCreate(channels, picked) is null ? 0 : 1;
            }
        }
        finally
        {
            KernelThreads.Count = before;
        }
        Assert.InRange(byVectors, 1500, 2900);
    }

    [Fact]
    public void Channels_that_are_not_there_are_refused() =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new ChannelPickKernel(4, [0, 4]));
}
