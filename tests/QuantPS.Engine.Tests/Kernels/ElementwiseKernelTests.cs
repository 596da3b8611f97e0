using QuantPS.Engine.Kernels;
using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Kernels.Vector;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Tests.Kernels;

/// <summary>Vector kernels of element-wise operators equal the reference, bit for bit: all lengths around the blocks, unaligned, special values, ties.</summary>
[Collection(nameof(KernelThreads))]
public class ElementwiseKernelTests
{
    private static readonly bool[] Both = [false, true];

    private static readonly int[] Lengths = [.. Enumerable.Range(0, 131), 255, 256, 257, 1000, 4099];

    private static readonly float[] Special =
    [
        float.NaN, float.PositiveInfinity, float.NegativeInfinity, 0f, -0f, float.Epsilon, -float.Epsilon, float.MaxValue, float.MinValue, 1e-30f, -1e-30f,
        2147483520f, 2147483648f, -2147483648f, -2147483904f, 4294967296f, 9223371487098961920f, 9223372036854775808f, -9223372036854775808f, 1e30f, -1e30f, 65535.5f, 65536f, 16777216f, 8388608.5f,
    ];

    public static TheoryData<QDType, bool, QuantizeCompat> Rules() => new(
        (QDType.QUInt8, false, QuantizeCompat.None), (QDType.QInt8, false, QuantizeCompat.None), (QDType.QInt32, false, QuantizeCompat.None),
        (QDType.QUInt8, true, QuantizeCompat.None), (QDType.QInt8, true, QuantizeCompat.None), (QDType.QInt32, true, QuantizeCompat.None),
        (QDType.QInt16, false, QuantizeCompat.None), (QDType.QUInt16, true, QuantizeCompat.None),
        (QDType.QUInt8, false, QuantizeCompat.Torch2PerTensor), (QDType.QInt8, false, QuantizeCompat.Torch2PerTensor), (QDType.QInt32, false, QuantizeCompat.Torch2PerTensor),
        (QDType.QUInt8, false, QuantizeCompat.Torch2PerChannel), (QDType.QInt8, false, QuantizeCompat.Torch113), (QDType.QInt32, false, QuantizeCompat.Torch113));

    [Theory, MemberData(nameof(Rules))]
    public void Quantizing_equals_the_reference(QDType dtype, bool divides, QuantizeCompat compat)
    {
        var random = new Random(31);
        int bytes = dtype.Bits() / 8;
        foreach (int length in Lengths)
        {
            for (int draw = 0; draw < 4; draw++)
            {
                QuantizeRule rule = RandomRule(random, dtype, divides, compat);
                int offset = random.Next(0, 9);
                float[] x = Reals(random, offset + length, rule.Scale);
                byte[] expected = new byte[(offset + length) * bytes], actual = new byte[expected.Length];
                QuantizeKernel.Run(x.AsSpan(offset), expected.AsSpan(offset * bytes), rule, vectors: false);
                QuantizeKernel.Run(x.AsSpan(offset), actual.AsSpan(offset * bytes), rule, vectors: true);
                Equal(expected, actual, bytes, i => $"{dtype} length {length} scale {rule.Scale:R} zp {rule.ZeroPoint}: x[{i}] = {x[i]:R}");
            }
        }
    }

    [Fact]
    public void The_reference_of_quantizing_is_the_normative_rule()
    {
        var random = new Random(32);
        for (int i = 0; i < 2000; i++)
        {
            QuantizeRule torch = RandomRule(random, QDType.QUInt8, false, QuantizeCompat.None), onnx = RandomRule(random, QDType.QInt8, true, QuantizeCompat.None);
            float v = Reals(random, 1, torch.Scale)[0];
            Assert.Equal(Quantizer.QuantizeTorch(v, 1f / torch.Scale, torch.ZeroPoint, 0, 255), torch.Apply(v));
            Assert.Equal(Quantizer.QuantizeOnnx(v, onnx.Scale, onnx.ZeroPoint, -128, 127), onnx.Apply(v));
        }
    }

    [Theory]
    [InlineData(QDType.QUInt8)]
    [InlineData(QDType.QInt8)]
    [InlineData(QDType.QInt32)]
    public void Dequantizing_equals_the_reference(QDType dtype)
    {
        var random = new Random(33);
        int bytes = dtype.Bits() / 8;
        (int min, int max) = dtype.Range();
        foreach (int length in Lengths)
        {
            for (int draw = 0; draw < 4; draw++)
            {
                int offset = random.Next(0, 9), zeroPoint = draw == 0 ? min : draw == 1 ? max : (int)random.NextInt64(min, (long)max + 1);
                float scale = RandomScale(random);
                byte[] q = Bytes(random, (offset + length) * bytes);
                float[] expected = new float[offset + length], actual = new float[expected.Length];
                DequantizeKernel.Run(q.AsSpan(offset * bytes), dtype, expected.AsSpan(offset), scale, zeroPoint, vectors: false);
                DequantizeKernel.Run(q.AsSpan(offset * bytes), dtype, actual.AsSpan(offset), scale, zeroPoint, vectors: true);
                for (int i = 0; i < expected.Length; i++)
                    Assert.True(Bits(expected[i]) == Bits(actual[i]), $"{dtype} length {length} scale {scale:R} zp {zeroPoint} at {i}: {expected[i]:R} but {actual[i]:R}");
            }
        }
    }

    [Fact]
    public void Tables_and_clamps_equal_the_reference_also_in_place()
    {
        var random = new Random(34);
        foreach (int length in Lengths)
        {
            int offset = random.Next(0, 9);
            byte[] table = Bytes(random, 256), x = Bytes(random, offset + length), expected = new byte[x.Length], actual = new byte[x.Length];
            ReferenceTable.Run(x.AsSpan(offset), expected.AsSpan(offset), table);
            VectorTable.Run(x.AsSpan(offset), actual.AsSpan(offset), table);
            Equal(expected, actual, 1, i => $"table, length {length} at {i}");

            bool signed = random.Next(2) == 0;
            int low = random.Next(256) - (signed ? 128 : 0), high = random.Next(256) - (signed ? 128 : 0);
            ReferenceClamp.Run(actual.AsSpan(offset), expected.AsSpan(offset), low, high, signed);
            VectorClamp.Run(actual.AsSpan(offset), actual.AsSpan(offset), low, high, signed);
            Equal(expected, actual, 1, i => $"clamp {low}..{high}, length {length} at {i}");
        }
    }

    [Fact]
    public void A_table_gives_every_entry()
    {
        byte[] table = Bytes(new Random(35), 256), all = [.. Enumerable.Range(0, 256).Select(i => (byte)i)], actual = new byte[256];
        VectorTable.Run(all, actual, table);
        Assert.Equal(table, actual);
    }

    public static TheoryData<bool, bool, int, BinaryOperation> Binary() =>
        [.. from fused in Both from relu in Both from rule in Enumerable.Range(0, 4) from operation in Enum.GetValues<BinaryOperation>() select (fused, relu, rule, operation)];

    [Theory, MemberData(nameof(Binary))]
    public void Sums_and_products_equal_the_reference(bool fused, bool relu, int rule, BinaryOperation operation)
    {
        var random = new Random(36);
        foreach (int length in Lengths)
        {
            for (int draw = 0; draw < 4; draw++)
            {
                QDType Draw() => random.Next(2) == 0 ? QDType.QUInt8 : QDType.QInt8;
                QParams x = Parameters(random, Draw()), y = Parameters(random, Draw());
                QuantizeRule output = RandomRule(random, Draw(), divides: rule == 1, rule switch { 2 => QuantizeCompat.Torch2PerTensor, 3 => QuantizeCompat.Torch113, _ => QuantizeCompat.None });
                // Scales of one size, so that sums do not all saturate; now and then anything.
                if (draw < 3)
                    output = new QuantizeRule(x.Scales[0] * (0.3f + random.NextSingle() * 3), output.ZeroPoint, output.DType, output.Divides, output.Compat);
                if (draw < 3)
                    y = new QParams((operation == BinaryOperation.Add ? x.Scales[0] : 0.02f) * (0.3f + random.NextSingle() * 2), y.ZeroPoints[0], y.DType);
                // All of one scale but the result's, which is twice that: every other sum is a tie, where a division decides.
                if (draw == 0)
                    (y, output) = (new QParams(x.Scales[0], y.ZeroPoints[0], y.DType), new QuantizeRule(2 * x.Scales[0], output.ZeroPoint, output.DType, output.Divides, output.Compat));
                BinaryRule add = new(x, y, output, fused, relu, operation);
                CheckPairs(random, length, (a, b, z) => ReferenceBinary.Run(a, b, z, add), (a, b, z) => VectorBinary.Run(a, b, z, add), $"{x} {operation} {y} -> {output.Scale:R} {output.ZeroPoint} {output.DType}");
            }
        }
    }

    /// <summary>ONNX's rule, all 65,536 pairs: with ordinary scales, with scales whose quotients make ties, and with ones for which ratios would lose digits.</summary>
    [Fact]
    public void Sums_of_every_pair_equal_the_reference()
    {
        byte[] x = [.. Enumerable.Range(0, 65536).Select(i => (byte)(i >> 8))], y = [.. Enumerable.Range(0, 65536).Select(i => (byte)i)];
        byte[] expected = new byte[65536], actual = new byte[65536];
        var random = new Random(37);
        for (int draw = 0; draw < 120; draw++)
        {
            QDType Draw() => random.Next(2) == 0 ? QDType.QUInt8 : QDType.QInt8;
            int Zero(QDType t) => random.Next(256) - (t == QDType.QInt8 ? 128 : 0);
            (QDType tx, QDType ty, QDType tz) = (Draw(), Draw(), Draw());
            float sx = 0.001f + random.NextSingle() * 0.1f, sy = sx * (0.1f + random.NextSingle() * 3), sz = (sx + sy) * (0.2f + random.NextSingle());
            (sy, sz) = (draw % 6) switch { 0 => (sx, 2 * sx), 1 => (3 * sx, 4 * sx), 2 => (sy, sx + sy), 3 => (sx * 1e-3f, sx / 5), _ => (sy, sz) };
            var rule = new BinaryRule(new QParams(sx, Zero(tx), tx), new QParams(sy, Zero(ty), ty), new QuantizeRule(sz, Zero(tz), tz, divides: true), fused: false, relu: draw % 5 == 0);
            ReferenceBinary.Run(x, y, expected, rule);
            VectorBinary.Run(x, y, actual, rule);
            Equal(expected, actual, 1, i => $"{rule.ScaleX:R} {rule.ZeroX} + {rule.ScaleY:R} {rule.ZeroY} -> {rule.Output.Scale:R} {rule.Output.ZeroPoint}: {x[i]}, {y[i]}");
        }
    }

    /// <summary>ONNX Runtime's sum, either product the inner one; the last draws beyond int32, where the conversion is indefinite.</summary>
    [Theory]
    [InlineData(QDType.QUInt8)]
    [InlineData(QDType.QInt8)]
    public void Sums_by_ratios_equal_the_reference(QDType type)
    {
        var random = new Random(38);
        foreach (int length in Lengths)
        {
            for (int draw = 0; draw < 6; draw++)
            {
                QParams output = Parameters(random, type, 0.05f), x = Parameters(random, type, draw == 5 ? 1e8f : 0.05f), y = Parameters(random, type, 0.05f * random.NextSingle());
                BinaryRule add = BinaryRule.ByRatios(x, y, output, firstIsInner: draw % 2 == 0), swapped = add.Swapped();
                CheckPairs(random, length, (a, b, z) => ReferenceBinary.Run(a, b, z, add), (a, b, z) => VectorBinary.Run(a, b, z, add), $"{x} + {y} -> {output}");
                CheckPairs(random, length, (a, b, z) => ReferenceBinary.Run(a, b, z, add), (a, b, z) => VectorBinary.Run(b, a, z, swapped), $"{x} + {y} -> {output}, swapped");
            }
        }
    }

    [Theory]
    [InlineData(QDType.QUInt8, false)]
    [InlineData(QDType.QUInt8, true)]
    [InlineData(QDType.QInt8, false)]
    [InlineData(QDType.QInt8, true)]
    public void Fixed_point_adding_equals_the_reference(QDType type, bool relu)
    {
        var random = new Random(37);
        foreach (int length in Lengths)
        {
            for (int draw = 0; draw < 6; draw++)
            {
                // The last ones make the shift 32 and more, which wraps.
                float ratio = draw < 4 ? 0.2f + random.NextSingle() * 4 : MathF.Pow(2f, -13.9f + random.NextSingle() * 3);
                QParams output = Parameters(random, type, 0.05f), x = Parameters(random, type, 0.05f * ratio), y = Parameters(random, type, 0.05f * ratio * (0.6f + 0.4f * random.NextSingle()));
                if (y.Scales[0] / output.Scales[0] < 1f / (1 << 14))
                    y = x;
                FixedPointAddRule add = new(x, y, output, relu);
                CheckPairs(random, length, (a, b, z) => ReferenceFixedPointAdd.Run(a, b, z, add), (a, b, z) => VectorFixedPointAdd.Run(a, b, z, add), $"{x} + {y} -> {output}");
            }
        }
    }

    public static TheoryData<bool, bool, bool> Products() => [.. from signed in Both from relu in Both from indefinite in Both select (signed, relu, indefinite)];

    [Theory, MemberData(nameof(Products))]
    public void Multiplying_equals_the_reference(bool signed, bool relu, bool indefinite)
    {
        var random = new Random(38);
        int least = signed ? -128 : 0;
        foreach (int length in Lengths)
        {
            for (int draw = 0; draw < 4; draw++)
            {
                float multiplier = draw switch { 0 => 33026.1f + random.NextSingle() * 1e5f, 1 => MathF.Pow(2f, random.Next(-10, 0)), _ => 0.001f + random.NextSingle() * 0.02f };
                int zeroPoint = draw == 0 ? least + 255 - random.Next(3) : least + random.Next(256);
                MulRule mul = new(least + random.Next(256), least + random.Next(256), multiplier, zeroPoint, signed, relu, indefinite);
                CheckPairs(random, length, (a, b, z) => ReferenceMul.Run(a, b, z, mul), (a, b, z) => VectorMul.Run(a, b, z, mul), mul.ToString());
            }
        }
    }

    [Fact]
    public void Joining_equals_joining_byte_by_byte()
    {
        var random = new Random(40);
        for (int i = 0; i < 500; i++)
        {
            int outer = random.Next(1, 40), length = random.Next(0, 150), start = random.Next(0, 9), pitch = start + length + random.Next(0, 9), split = random.Next(0, length + 1);
            byte[]? table = random.Next(3) == 0 ? null : Bytes(random, 256), tail = random.Next(3) == 0 ? null : Bytes(random, 256);
            byte[] x = Bytes(random, outer * length), y = Bytes(random, outer * pitch), expected = [.. y];
            for (int o = 0; o < outer; o++)
            {
                for (int at = 0; at < length; at++)
                {
                    byte b = x[o * length + at];
                    byte[]? entries = at < split ? table : tail;
                    expected[o * pitch + start + at] = entries is null ? b : entries[b];
                }
            }
            ConcatKernel.Run(x, y, outer, length, pitch, start, table is null ? null : new ByteTable(table), split, tail is null ? null : new ByteTable(tail));
            Equal(expected, y, 1, at => $"case {i} at {at}");
        }
    }

    [Fact]
    public void Joining_channels_is_the_same_in_both_layouts()
    {
        var random = new Random(45);
        const int batch = 2, area = 35;
        QParams output = new(0.05f, 20, QDType.QUInt8), other = new(0.04f, 90, QDType.QUInt8);
        var layer = new QuantizedConcat(output, options: new LayerOptions { Compat = true });
        QuantizedTensor a = new([batch, 24, 5, 7], Bytes(random, batch * 24 * area), output), b = new([batch, 37, 5, 7], Bytes(random, batch * 37 * area), other);
        QuantizedTensor joined = layer.Run(a, b);
        byte[] expected = new byte[joined.Length], pixels = new byte[joined.Length], actual = new byte[joined.Length];
        LayoutConversion.ToChannelsLast(joined.Memory, expected, batch, 61, area);
        int first = 0;
        foreach (QuantizedTensor t in new[] { a, b })
        {
            int channels = t.Dims[1];
            LayoutConversion.ToChannelsLast(t.Memory, pixels, batch, channels, area);
            layer.Join(pixels.AsMemory(0, t.Length), t.QParams, batch, channels, area, actual, 61, first, KernelLayout.ChannelsLast);
            first += channels;
        }
        Equal(expected, actual, 1, at => $"at {at}");
    }

    [Fact]
    public void Threads_change_nothing()
    {
        var random = new Random(39);
        const int length = 300_001;
        float[] x = Reals(random, length, 0.02f);
        var rule = new QuantizeRule(0.02f, 77, QDType.QUInt8);
        byte[] table = Bytes(random, 256);
        BinaryRule add = new(new QParams(0.02f, 77, QDType.QUInt8), new QParams(0.03f, 7, QDType.QUInt8), rule, fused: true, relu: true);
        int before = KernelThreads.Count;
        List<byte[]> results = [];
        try
        {
            foreach (int threads in new[] { 1, 2, 3 })
            {
                KernelThreads.Count = threads;
                byte[] q = new byte[length], looked = new byte[length], sum = new byte[length];
                float[] real = new float[length];
                QuantizeKernel.Run(x, q, rule);
                TableKernel.Run(q, looked, table);
                BinaryKernel.Run(q, looked, sum, add);
                DequantizeKernel.Run(sum, QDType.QUInt8, real, 0.02f, 77);
                results.Add([.. sum, .. System.Runtime.InteropServices.MemoryMarshal.AsBytes<float>(real)]);
            }
        }
        finally
        {
            KernelThreads.Count = before;
        }
        Assert.All(results, r => Assert.True(r.AsSpan().SequenceEqual(results[0])));
    }

    [Fact]
    public void A_call_on_one_thread_allocates_nothing()
    {
        if (Environment.GetEnvironmentVariable(KernelSelector.ForceVariable) is not null)
            Assert.Skip($"{KernelSelector.ForceVariable} is set, and reading its value allocates a string.");
        float[] x = new float[1000];
        byte[] q = new byte[1000], z = new byte[1000], table = new byte[256];
        var rule = new QuantizeRule(0.02f, 77, QDType.QUInt8);
        BinaryRule add = new(new QParams(0.02f, 77, QDType.QUInt8), new QParams(0.03f, 7, QDType.QUInt8), rule, fused: true, relu: true);
        Call();
        long before = GC.GetAllocatedBytesForCurrentThread();
        Call();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);

        void Call()
        {
            QuantizeKernel.Run(x, q, rule);
            TableKernel.Run(q, z, table);
            BinaryKernel.Run(q, z, z, add);
            ClampKernel.Run(z, z, 3, 200, QDType.QUInt8);
            DequantizeKernel.Run(z, QDType.QUInt8, x, 0.02f, 77);
        }
    }

    [Theory]
    [InlineData(null, true, true)]
    [InlineData(null, false, false)]
    [InlineData("reference", true, false)]
    [InlineData("vector", true, true)]
    [InlineData("generated", true, true)]
    public void Vectors_are_a_function_of_cpu_and_force(string? forced, bool vector128, bool expected) =>
        Assert.Equal(expected, KernelSelector.UsesVectorsOn(new CpuFeatures(false, false, false, vector128), KernelSelector.Forced(forced)));

    private delegate void Pairs(ReadOnlySpan<byte> x, ReadOnlySpan<byte> y, Span<byte> z);

    /// <summary>Two tensors; a tensor and a single integer on either side.</summary>
    private static void CheckPairs(Random random, int length, Pairs reference, Pairs vector, string what)
    {
        int offset = random.Next(0, 9);
        byte[] x = Bytes(random, offset + length + 1), y = Bytes(random, offset + length + 1);
        for (int way = 0; way < 3; way++)
        {
            int lengthX = way == 1 ? 1 : length, lengthY = way == 2 ? 1 : length;
            byte[] expected = new byte[offset + length], actual = new byte[offset + length];
            reference(x.AsSpan(offset, lengthX), y.AsSpan(offset, lengthY), expected.AsSpan(offset));
            vector(x.AsSpan(offset, lengthX), y.AsSpan(offset, lengthY), actual.AsSpan(offset));
            Equal(expected, actual, 1, i => $"length {length} ({lengthX}, {lengthY}), {what}: {x[way == 1 ? offset : i]}, {y[way == 2 ? offset : i]} at {i}");
        }
    }

    private static void Equal(byte[] expected, byte[] actual, int size, Func<int, string> what)
    {
        int at = expected.AsSpan().CommonPrefixLength(actual);
        Assert.True(at == expected.Length, at == expected.Length ? "" : $"{what(at / size)}: {expected[at]} expected, {actual[at]} given");
    }

    private static QuantizeRule RandomRule(Random random, QDType dtype, bool divides, QuantizeCompat compat)
    {
        (int min, int max) = dtype.Range();
        int zeroPoint = random.Next(4) switch { 0 => min, 1 => max, _ => (int)random.NextInt64(min, (long)max + 1) };
        return new QuantizeRule(RandomScale(random), zeroPoint, dtype, divides, compat);
    }

    private static QParams Parameters(Random random, QDType dtype, float? scale = null)
    {
        (int min, int max) = dtype.Range();
        return new QParams(scale ?? RandomScale(random), random.Next(min, max + 1), dtype);
    }

    private static float RandomScale(Random random) => random.Next(8) switch
    {
        0 => MathF.Pow(2f, random.Next(-20, 20)),
        1 => 1e-38f * (1 + random.NextSingle()),
        2 => 1e38f * (1 + random.NextSingle()),
        3 => float.PositiveInfinity,
        _ => 0.001f + random.NextSingle(),
    };

    /// <summary>Values over the range and beyond, ties of the scale and their neighbours, and special ones.</summary>
    private static float[] Reals(Random random, int count, float scale)
    {
        var x = new float[count];
        for (int i = 0; i < count; i++)
        {
            float tie = (random.Next(-300, 300) + 0.5f) * scale;
            x[i] = random.Next(6) switch
            {
                0 => Special[random.Next(Special.Length)],
                1 => tie,
                2 => MathF.BitIncrement(tie),
                3 => MathF.BitDecrement(tie),
                4 => BitConverter.Int32BitsToSingle(random.Next(int.MinValue, int.MaxValue)),
                _ => (random.NextSingle() - 0.5f) * 600 * scale,
            };
        }
        return x;
    }

    // Equal as bits, except that one NaN is as good as another.
    private static int Bits(float v) => float.IsNaN(v) ? int.MinValue : BitConverter.SingleToInt32Bits(v);

    private static byte[] Bytes(Random random, int count)
    {
        var bytes = new byte[count];
        random.NextBytes(bytes);
        return bytes;
    }
}
