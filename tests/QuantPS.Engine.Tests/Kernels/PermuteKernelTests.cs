using QuantPS.Engine.Kernels;

namespace QuantPS.Engine.Tests.Kernels;

/// <summary>Bytes at even distances against one by one: dimensions in any order, cut out, repeated, turned round, narrow and wide runs, on memory whose neighbours must not be touched.</summary>
[Collection(nameof(KernelThreads))]
public class PermuteKernelTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    public void EqualsOneByOne(int rank)
    {
        var random = new Random(60 + rank);
        int before = KernelThreads.Count;
        try
        {
            for (int draw = 0; draw < 200; draw++)
            {
                KernelThreads.Count = 1 + draw % 3;
                int most = rank switch { 1 => 3000, 2 => 90, 3 => 40, 4 => 20, _ => 9 };
                int[] dims = [.. Enumerable.Range(0, rank).Select(_ => random.Next(5) == 0 ? 1 : random.Next(1, most + 1))], full = new int[rank];
                for (int d = rank - 1, step = 1; d >= 0; step *= dims[d--])
                    full[d] = step;
                int[] order = [.. Enumerable.Range(0, rank).OrderBy(_ => random.Next())], sizes = [.. order.Select(d => dims[d])], strides = [.. order.Select(d => full[d])];
                int start = 0;
                for (int d = 0; d < rank && draw % 2 == 0; d++)
                {
                    switch (random.Next(5))
                    {
                        case 0:
                            // A part of it, or every other one.
                            int first = random.Next(sizes[d]), pace = random.Next(1, 3);
                            start += first * strides[d];
                            sizes[d] = (sizes[d] - first + pace - 1) / pace;
                            strides[d] *= pace;
                            break;
                        case 1:
                            start += (sizes[d] - 1) * strides[d];
                            strides[d] = -strides[d];
                            break;
                        case 2:
                            strides[d] = 0;
                            break;
                    }
                }
                Check(random, dims.Aggregate(1, (a, b) => a * b), start, sizes, strides);
            }
        }
        finally
        {
            KernelThreads.Count = before;
        }
    }

    /// <summary>Every width of run, one behind the other and apart.</summary>
    [Fact]
    public void RunsOfEveryWidth()
    {
        var random = new Random(7);
        for (int run = 1; run <= 70; run++)
        {
            foreach (int step in new[] { run, run + 1, 2 * run, -run })
            {
                foreach (int count in new[] { 1, 2, 7, 40 })
                    Check(random, (count - 1) * Math.Abs(step) + run, step < 0 ? (count - 1) * run : 0, [count, run], [step, 1]);
            }
        }
    }

    private static void Check(Random random, int length, int start, int[] sizes, int[] strides)
    {
        byte[] data = new byte[length], expected = new byte[sizes.Aggregate(1, (a, b) => a * b)];
        random.NextBytes(data);
        for (int i = 0; i < expected.Length; i++)
        {
            int at = start, rest = i;
            for (int d = sizes.Length - 1; d >= 0; rest /= sizes[d--])
                at += rest % sizes[d] * strides[d];
            expected[i] = data[at];
        }
        foreach (GuardSide side in Enum.GetValues<GuardSide>())
        {
            using GuardedMemory x = new(data.Length, side), y = new(expected.Length, side);
            data.CopyTo(x.GetSpan());
            PermuteKernel.Run(x.Memory, start, y.Memory, sizes, strides);
            Assert.True(expected.AsSpan().SequenceEqual(y.GetSpan()), $"{string.Join(" x ", sizes)}, strides {string.Join(", ", strides)}, from {start} of {length}");
            Assert.True(y.Intact);
        }
    }
}
