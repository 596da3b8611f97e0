using QuantPS.Engine.Kernels;
using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Kernels.Vector;

namespace QuantPS.Engine.Tests.Kernels;

[Collection(nameof(KernelThreads))]
public class ChannelPickTests
{
    /// <summary>Shuffles, cuts, repeats and anything, of one tensor or two, around the vector's 16 channels, between guard pages.</summary>
    [Fact]
    public void Vectors_equal_the_reference_and_keep_to_their_memory()
    {
        var random = new Random(16);
        int before = KernelThreads.Count;
        int[] byVectors = new int[2];
        try
        {
            for (int i = 0; i < 6000; i++)
            {
                // Of one tensor, of two halves, of two unlike ones.
                int channels = 1 + i % 150, first = (i / 4 % 3) switch { 0 => channels, 1 => (channels + 1) / 2, _ => random.Next(1, channels + 1) };
                int others = channels - first, groups = random.Next(1, 5), pixels = i % 50 == 0 ? random.Next(1, 400) : random.Next(1, 40), start = random.Next(channels);
                int[] picked = (i % 4) switch
                {
                    0 => [.. Enumerable.Range(0, channels / groups * groups).Select(c => c % groups * (channels / groups) + c / groups)],
                    1 => [.. Enumerable.Range(start, channels - start)],
                    2 => [.. Enumerable.Range(0, random.Next(1, 100)).Select(c => channels * c / 100)],
                    _ => [.. Enumerable.Range(0, random.Next(1, 60)).Select(_ => random.Next(channels))],
                };
                if (picked.Length == 0)
                    continue;
                byte[] x = new byte[pixels * first], other = new byte[pixels * others], expected = new byte[pixels * picked.Length];
                random.NextBytes(x);
                random.NextBytes(other);
                ReferenceChannelPick.Run(x, other, expected, first, others, picked);
                GuardSide side = i % 2 == 0 ? GuardSide.Before : GuardSide.Behind;
                using GuardedMemory input = new(x.Length, side), second = new(Math.Max(1, other.Length), side), output = new(expected.Length, side);
                x.CopyTo(input.GetSpan());
                other.CopyTo(second.GetSpan());
                KernelThreads.Count = 1 + i % 3;
                if (others == 0)
                    new ChannelPickKernel(first, picked).Run(input.Memory, output.Memory);
                else
                    new ChannelPickKernel(first, others, picked).Run(input.Memory, second.Memory, output.Memory);

                Assert.Equal(expected, output.GetSpan().ToArray());
                if (VectorChannelPick.TryCreate(first, others, picked) is not null)
                    byVectors[others == 0 ? 0 : 1]++;
            }
        }
        finally
        {
            KernelThreads.Count = before;
        }
        // Two tensors that are both wide enough are fewer, some of either are left to the reference.
        Assert.InRange(byVectors[0], 1000, 1950);
        Assert.InRange(byVectors[1], 1000, 3800);
    }

    [Fact]
    public void Channels_that_are_not_there_are_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => new ChannelPickKernel(4, [0, 4]));
        Assert.Throws<ArgumentOutOfRangeException>(() => new ChannelPickKernel(4, 2, [0, 6]));
    }

    [Fact]
    public void Lengths_have_to_match()
    {
        ChannelPickKernel pick = new(4, 2, [0, 5]);
        pick.Run(new byte[8], new byte[4], new byte[4]);
        Assert.Throws<ArgumentException>(() => pick.Run(new byte[8], new byte[4]));
        Assert.Throws<ArgumentException>(() => pick.Run(new byte[8], new byte[2], new byte[4]));
        Assert.Throws<ArgumentException>(() => pick.Run(new byte[8], new byte[4], new byte[6]));
    }
}
