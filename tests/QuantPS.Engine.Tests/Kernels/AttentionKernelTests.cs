using QuantPS.Engine.Kernels;
using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Kernels.Vector;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Tests.Kernels;

/// <summary>Products of activations, softmax and layer normalization equal the reference, bit for bit, and touch no byte that is not theirs: sizes around
/// every block, all types, extreme zero points, nothing at all.</summary>
[Collection(nameof(KernelThreads))]
public sealed class AttentionKernelTests : IDisposable
{
    private readonly int threadsBefore = KernelThreads.Count;

    public void Dispose() => KernelThreads.Count = threadsBefore;

    [Theory]
    [InlineData(GuardSide.Behind)]
    [InlineData(GuardSide.Before)]
    public void Products_equal_the_reference(GuardSide side)
    {
        Random random = new(1);
        HashSet<string> seen = [];
        for (int i = 0; i < 400; i++)
        {
            KernelThreads.Count = 1 + i % 3;
            MatMulProblem problem = RandomProblem(random);
            int rows = Size(random, 21), depth = Size(random, 70), columns = i % 10 == 0 ? random.Next(250, 300) : Size(random, 140), products = random.Next(0, 5), left = random.Next(1, 4), right = random.Next(1, 4);
            MatMulStack stack = new(rows, depth, columns, [.. Enumerable.Range(0, products).Select(_ => random.Next(left))], [.. Enumerable.Range(0, products).Select(_ => random.Next(right))]);
            using GuardedMemory a = Bytes(random, left * rows * depth, side), b = Bytes(random, right * depth * columns, side), y = new(products * rows * columns, side);
            var expected = new byte[y.Memory.Length];
            new ReferenceMatMul(problem).Run(a.Memory, b.Memory, stack, expected);
            foreach ((_, Func<CpuFeatures, bool> runs, Func<MatMulProblem, MatMulKernel?> make) in KernelSelector.MatMulLadder)
            {
                if (!runs(CpuFeatures.Current) || make(problem) is not { } kernel)
                    continue;
                seen.Add(kernel.Name);
                y.Memory.Span.Fill(0xCD);
                kernel.Run(a.Memory, b.Memory, stack, y.Memory);
                Assert.True(expected.AsSpan().SequenceEqual(y.Memory.Span), $"case {i}, {kernel.Name}: {products} x [{rows}, {depth}] x [{depth}, {columns}]");
                Assert.True(y.Intact, $"case {i}, {kernel.Name} wrote outside");
            }
        }
        Assert.Contains("reference-matmul", seen);
        Assert.True(seen.Count > 1 || !CpuFeatures.Current.Vector128);
    }

    /// <summary>The reference itself, on numbers that can be checked by hand.</summary>
    [Fact]
    public void The_reference_multiplies()
    {
        MatMulProblem problem = new()
        {
            LeftZeroPoint = 1, LeftSigned = false, RightZeroPoint = -2, RightSigned = true, Multiplier = 0.5f, OutputZeroPoint = 10, OutputSigned = false,
        };
        var y = new byte[4];
        // (2, 0; 4, 9) x (1, 2; -1, 125): 2, 4 and -5, 1133.
        new ReferenceMatMul(problem).Run(new byte[] { 3, 1, 5, 10 }, new byte[] { 0xFF, 0, 0xFD, 123 }, new MatMulStack(2, 2, 2, [0], [0]), y);
        // 0.5 * -5 = -2.5 is a tie and goes to -2.
        Assert.Equal(new byte[] { 11, 12, 8, 255 }, y);
    }

    [Theory]
    [InlineData(null, true, true, true, true, "vector-matmul-4x32-avx512")]
    [InlineData("vector", true, true, true, true, "vector-matmul-4x32-avx512")]
    [InlineData(null, false, true, true, true, "vector-matmul-6x16-avxvnni")]
    [InlineData(null, false, false, true, true, "vector-matmul-6x16-avx2")]
    [InlineData(null, false, false, false, true, "vector-matmul-6x16-vector128")]
    [InlineData("reference", true, true, true, true, "reference-matmul")]
    [InlineData(null, false, false, false, false, "reference-matmul")]
    public void Ladder_for_products(string? forced, bool vnni512, bool vnni, bool avx2, bool vector128, string expected) =>
        Assert.Equal(expected, KernelSelector.Select(RandomProblem(new Random(2)), new CpuFeatures(vnni512, vnni, avx2, vector128), KernelSelector.Forced(forced)).Name);

    [Theory]
    [InlineData(GuardSide.Behind)]
    [InlineData(GuardSide.Before)]
    public void Softmax_equals_the_reference(GuardSide side)
    {
        Random random = new(3);
        for (int i = 0; i < 3000; i++)
        {
            SoftmaxRule rule = RandomSoftmax(random);
            int length = 1 + Size(random, i % 20 == 0 ? 5000 : 200), spread = random.Next(1, 257), low = random.Next(0, 257 - spread);
            using GuardedMemory x = new(length, side), y = new(length, side);
            foreach (ref byte b in x.Memory.Span)
                b = (byte)(low + random.Next(spread));
            var expected = new byte[length];
            ReferenceSoftmax.Run(x.Memory.Span, expected, rule);
            VectorSoftmax.Run(x.Memory.Span, y.Memory.Span, rule);
            Assert.True(expected.AsSpan().SequenceEqual(y.Memory.Span), $"case {i}: {length} integers from {low} on, {spread} different ones");
            Assert.True(y.Intact && x.Intact, $"case {i} wrote outside");
            VectorSoftmax.Run(x.Memory.Span, x.Memory.Span, rule);
            Assert.True(expected.AsSpan().SequenceEqual(x.Memory.Span), $"case {i}, in place");
        }
    }

    /// <summary>Many short rows, which have ways of their own: two by their difference, all 65536 pairs.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(23)]
    [InlineData(24)]
    [InlineData(100)]
    public void Rows_of_softmax_equal_the_reference(int length)
    {
        Random random = new(length);
        for (int i = 0; i < 20; i++)
        {
            SoftmaxRule rule = RandomSoftmax(random);
            using GuardedMemory x = Bytes(random, (length == 2 ? 256 * 256 : 40) * length, GuardSide.Behind), y = new(x.Memory.Length, GuardSide.Behind);
            for (int pair = 0; pair < 256 * 256 && length == 2; pair++)
                (x.Memory.Span[2 * pair], x.Memory.Span[(2 * pair) + 1]) = ((byte)pair, (byte)(pair >> 8));
            byte[] expected = new byte[x.Memory.Length];
            for (int at = 0; at < expected.Length; at += length)
                ReferenceSoftmax.Run(x.Memory.Span.Slice(at, length), expected.AsSpan(at, length), rule);
            SoftmaxKernel.Run(x.Memory, y.Memory, length, rule);
            Assert.True(expected.AsSpan().SequenceEqual(y.Memory.Span), $"rule {i}");
            SoftmaxKernel.Run(x.Memory, x.Memory, length, rule);
            Assert.True(expected.AsSpan().SequenceEqual(x.Memory.Span), $"rule {i} in place");
        }
    }

    /// <summary>Against the formula in double, on probabilities that are near no tie.</summary>
    [Fact]
    public void The_softmax_is_one()
    {
        Random random = new(4);
        for (int i = 0; i < 300; i++)
        {
            QParams input = new(0.001f + random.NextSingle() * 0.2f, 7, i % 2 == 0 ? QDType.QUInt8 : QDType.QInt8), output = new(1f / 256f, 0, QDType.QUInt8);
            byte[] x = new byte[1 + random.Next(300)], y = new byte[x.Length];
            random.NextBytes(x);
            VectorSoftmax.Run(x, y, new SoftmaxRule(input, output, 256));
            double[] real = [.. x.Select(b => Math.Exp((double)input.Scales[0] * (i % 2 == 0 ? b : (sbyte)b)))];
            double sum = real.Sum();
            for (int k = 0; k < x.Length; k++)
            {
                double steps = real[k] / sum * 256;
                if (Math.Abs(steps - Math.Floor(steps) - 0.5) > 1e-4)
                    Assert.Equal((int)Math.Min(255, Math.Round(steps)), y[k]);
            }
        }
    }

    [Theory]
    [InlineData(GuardSide.Behind)]
    [InlineData(GuardSide.Before)]
    public void Layer_normalization_equals_the_reference(GuardSide side)
    {
        Random random = new(5);
        for (int i = 0; i < 3000; i++)
        {
            int length = 1 + Size(random, i % 20 == 0 ? 5000 : 200), spread = random.Next(1, 257), low = random.Next(0, 257 - spread);
            LayerNormRule rule = RandomNorm(random, length);
            using GuardedMemory x = new(length, side), y = new(length, side);
            foreach (ref byte b in x.Memory.Span)
                b = (byte)(low + random.Next(spread));
            var expected = new byte[length];
            ReferenceLayerNorm.Run(x.Memory.Span, expected, rule);
            VectorLayerNorm.Run(x.Memory.Span, y.Memory.Span, rule);
            Assert.True(expected.AsSpan().SequenceEqual(y.Memory.Span), $"case {i}: {length} integers from {low} on, {spread} different ones");
            Assert.True(y.Intact && x.Intact, $"case {i} wrote outside");
            VectorLayerNorm.Run(x.Memory.Span, x.Memory.Span, rule);
            Assert.True(expected.AsSpan().SequenceEqual(x.Memory.Span), $"case {i}, in place");
        }
    }

    /// <summary>Sums over more elements than 32 bits hold squares of.</summary>
    [Fact]
    public void Layer_normalization_of_long_rows()
    {
        const int length = 200_003;
        LayerNormRule rule = RandomNorm(new Random(6), length);
        byte[] x = new byte[length], expected = new byte[length], actual = new byte[length];
        x.AsSpan().Fill(255);
        x.AsSpan(0, 1000).Clear();
        ReferenceLayerNorm.Run(x, expected, rule);
        VectorLayerNorm.Run(x, actual, rule);
        Assert.True(expected.AsSpan().SequenceEqual(actual));
    }

    [Theory]
    [InlineData(GuardSide.Behind)]
    [InlineData(GuardSide.Before)]
    public void Normalized_sums_equal_the_reference(GuardSide side)
    {
        Assert.SkipUnless(CpuFeatures.Current.Vector128, "There are no vectors.");
        Random random = new(8);
        for (int i = 0; i < 2000; i++)
        {
            int length = 1 + Size(random, i % 20 == 0 ? 3000 : 200);
            NormalizedSumRule rule = RandomSum(random, length);
            using GuardedMemory a = Bytes(random, length, side), b = Bytes(random, length, side), y = new(length, side);
            byte[] expected = new byte[length];
            float[] room = new float[length], sums = new float[length];
            ReferenceNormalizedSum.Run(a.Memory.Span, b.Memory.Span, room, expected, rule);
            VectorNormalizedSum.Run(a.Memory.Span, b.Memory.Span, sums, y.Memory.Span, rule);
            Assert.Equal(room, sums);
            Assert.True(expected.AsSpan().SequenceEqual(y.Memory.Span), $"case {i}: {length} integers");
            Assert.True(y.Intact && a.Intact && b.Intact, $"case {i} wrote outside");
            VectorNormalizedSum.Run(a.Memory.Span, b.Memory.Span, sums, a.Memory.Span, rule);
            Assert.True(expected.AsSpan().SequenceEqual(a.Memory.Span), $"case {i}, in place");
        }
    }

    /// <summary>As <see cref="AllocationTests"/> has it for layers.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Nothing_is_allocated(int threads)
    {
        KernelThreads.Count = threads;
        Assert.SkipUnless(CpuFeatures.Current.Vector128, "The reference kernel makes closures.");
        Random random = new(7);
        MatMulKernel kernel = KernelSelector.Select(RandomProblem(random), CpuFeatures.Current, KernelTier.Generated);
        MatMulStack stack = new(40, 64, 48, [0, 1, 2], [0, 1, 1]);
        Memory<byte> a = new AlignedBuffer<byte>(3 * 40 * 64).Memory, b = new AlignedBuffer<byte>(2 * 64 * 48).Memory, y = new AlignedBuffer<byte>(3 * 40 * 48).Memory, rows = new AlignedBuffer<byte>(400 * 100).Memory;
        SoftmaxRule softmax = RandomSoftmax(random);
        LayerNormRule norm = RandomNorm(random, 100);
        AllocationTests.AllocatesNothing(kernel.Name, () => kernel.Run(a, b, stack, y));
        // Reading the variable that forces a kernel makes a string where it is set.
        if (Environment.GetEnvironmentVariable(KernelSelector.ForceVariable) is not null)
            return;
        AllocationTests.AllocatesNothing("softmax", () => SoftmaxKernel.Run(rows, rows, 100, softmax));
        AllocationTests.AllocatesNothing("layer normalization", () => LayerNormKernel.Run(rows, rows, norm));
        NormalizedSumRule sum = RandomSum(random, 100);
        Memory<byte> others = new AlignedBuffer<byte>(rows.Length).Memory;
        AllocationTests.AllocatesNothing("normalized sum", () => NormalizedSumKernel.Run(rows, others, null, null, rows, sum));
    }

    private static MatMulProblem RandomProblem(Random random)
    {
        bool left = random.Next(2) == 0, right = random.Next(2) == 0, output = random.Next(2) == 0;
        return new()
        {
            LeftZeroPoint = Zero(random, left), LeftSigned = left, RightZeroPoint = Zero(random, right), RightSigned = right,
            Multiplier = MathF.Exp(-12f * random.NextSingle()), OutputZeroPoint = Zero(random, output), OutputSigned = output,
        };
    }

    private static SoftmaxRule RandomSoftmax(Random random)
    {
        bool input = random.Next(2) == 0, output = random.Next(2) == 0;
        QParams y = new(random.Next(4) == 0 ? random.NextSingle() * 0.01f + 1e-4f : 1f / 256f, Zero(random, output), output ? QDType.QInt8 : QDType.QUInt8);
        return new(new QParams(MathF.Exp(-9f * random.NextSingle()), 0, input ? QDType.QInt8 : QDType.QUInt8), y, 1.0 / y.Scales[0]);
    }

    private static LayerNormRule RandomNorm(Random random, int length)
    {
        bool input = random.Next(2) == 0, output = random.Next(2) == 0;
        return new(new QParams(0.01f + random.NextSingle(), Zero(random, input), input ? QDType.QInt8 : QDType.QUInt8),
            new QParams(0.005f + random.NextSingle() * 0.03f, Zero(random, output), output ? QDType.QInt8 : QDType.QUInt8), [.. Enumerable.Range(0, length).Select(_ => random.NextSingle() * 3 - 1)],
            random.Next(3) == 0 ? null : [.. Enumerable.Range(0, length).Select(_ => random.NextSingle() - 0.5f)], 1e-5f);
    }

    private static NormalizedSumRule RandomSum(Random random, int length)
    {
        return new(Input(), random.Next(3) == 0 ? null : Reals(3), Input(), random.Next(3) == 0 ? null : Reals(3), Input(), Reals(3), Reals(3), 1e-5f);

        QParams Input() => random.Next(2) == 0 ? new(0.005f + random.NextSingle() * 0.03f, Zero(random, true), QDType.QInt8) : new(0.005f + random.NextSingle() * 0.03f, Zero(random, false), QDType.QUInt8);

        float[] Reals(int most) => [.. Enumerable.Range(0, length).Select(_ => random.NextSingle() * most - 1)];
    }

    private static int Zero(Random random, bool signed) => (random.Next(4) switch { 0 => 0, 1 => 255, _ => random.Next(256) }) - (signed ? 128 : 0);

    private static int Size(Random random, int most) => random.Next(3) == 0 ? random.Next(most / 16 + 1) * 16 : random.Next(most + 1);

    private static GuardedMemory Bytes(Random random, int count, GuardSide side)
    {
        GuardedMemory memory = new(count, side);
        random.NextBytes(memory.Memory.Span);
        return memory;
    }
}
