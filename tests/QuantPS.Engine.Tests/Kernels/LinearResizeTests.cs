using QuantPS.Engine.Errors;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Kernels.Vector;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Tests.Kernels;

/// <summary>Linear interpolation by vectors equals the reference, which equals the float operators one by one.</summary>
[Collection(nameof(KernelThreads))]
public class LinearResizeTests
{
    /// <summary>All numbers of channels around the vectors, up and down, positions outside the image, both types on both sides, between guard pages.</summary>
    [Fact]
    public void Vectors_equal_the_reference_and_keep_to_their_memory()
    {
        var random = new Random(61);
        int before = KernelThreads.Count;
        try
        {
            for (int i = 0; i < 1400; i++)
            {
                int channels = 1 + i % 70, batch = random.Next(1, 4);
                LinearResizeAxis height = Axis(random), width = Axis(random);
                LinearResizeRule rule = Rule(random, scale: 0.001f + random.NextSingle());
                byte[] x = new byte[batch * height.Size * width.Size * channels], expected = new byte[batch * height.Count * width.Count * channels];
                random.NextBytes(x);
                for (int n = 0; n < batch; n++)
                    ReferenceLinearResize.Run(Image(x, n, batch), Image(expected, n, batch), height, width, channels, rule, 0, height.Count);
                GuardSide side = i % 2 == 0 ? GuardSide.Before : GuardSide.Behind;
                using GuardedMemory input = new(x.Length, side), output = new(expected.Length, side);
                x.CopyTo(input.GetSpan());
                KernelThreads.Count = 1 + i % 3;
                new LinearResizeKernel(height, width, channels).Run(input.Memory, output.Memory, batch, rule);
                Assert.Equal(expected, output.GetSpan().ToArray());
                Assert.True(output.Intact);

                // Any rows, as threads take them.
                int from = random.Next(height.Count), to = random.Next(from, height.Count) + 1, row = width.Count * channels;
                var part = new byte[(to - from) * row];
                bool spreads = VectorLinearResize.Spreads(channels);
                VectorLinearResize.Run(Image(x, 0, batch), part, height, spreads ? width.OfChannels(channels) : width, spreads ? 1 : channels, rule, from, to);
                Assert.Equal(expected.AsSpan(from * row, part.Length).ToArray(), part);
            }
        }
        finally
        {
            KernelThreads.Count = before;
        }
    }

    /// <summary>Planes and pixels, dequantized, summed and quantized by hand.</summary>
    [Fact]
    public void Layers_give_the_same_in_both_layouts()
    {
        var random = new Random(62);
        for (int i = 0; i < 60; i++)
        {
            int channels = random.Next(1, 40);
            LinearResizeAxis height = Axis(random), width = Axis(random);
            QParams from = new(0.01f + random.NextSingle(), random.Next(256), QDType.QUInt8), to = i % 2 == 0 ? from : new(0.01f + random.NextSingle(), random.Next(256) - 128, QDType.QInt8);
            QuantizedLinearResize layer = new(to, (h, w) => h == height.Size && w == width.Size ? (height, width) : throw new InvalidOperationException(), onnxRule: i % 3 > 0);
            QuantizedTensor x = QuantizedTensor.Allocate([2, channels, height.Size, width.Size], from);
            random.NextBytes(x.Bytes);
            float[] real = x.Dequantize().ToArray(), sums = new float[2 * channels * height.Count * width.Count];
            for (int at = 0; at < sums.Length; at++)
            {
                (int rest, int w) = Math.DivRem(at, width.Count);
                (int plane, int h) = Math.DivRem(rest, height.Count);
                float x0 = width.FirstWeights[w], x1 = width.SecondWeights[w], y0 = height.FirstWeights[h], y1 = height.SecondWeights[h];
                float V(int row, int column) => real[(plane * height.Size + row) * width.Size + column];
                sums[at] = x0 * y0 * V(height.First[h], width.First[w]) + x1 * y0 * V(height.First[h], width.Second[w])
                    + x0 * y1 * V(height.Second[h], width.First[w]) + x1 * y1 * V(height.Second[h], width.Second[w]);
            }
            byte[] expected = Quantizer.Quantize(new Tensor([2, channels, height.Count, width.Count], sums), to, onnxRule: i % 3 > 0).Bytes.ToArray();
            var pixels = new byte[x.Length];
            LayoutConversion.ToChannelsLast(x.Memory, pixels, 2, channels, height.Size * width.Size);
            QuantizedTensor planes = layer.Run(x), last = layer.Run(new QuantizedTensor(x.Shape, pixels, from, KernelLayout.ChannelsLast));
            Assert.Equal([2, channels, height.Count, width.Count], planes.Shape);
            Assert.Equal(expected, planes.Bytes.ToArray());
            Assert.Equal(expected, last.Bytes.ToArray());
        }
    }

    /// <summary>Half of 3 and of 4 is a tie of integers; multiples of a scale, rounded, add up to less or more.</summary>
    [Fact]
    public void The_scale_decides_ties()
    {
        LinearResizeAxis single = new(1, [0f]), middle = new(2, [0.5f]);
        var random = new Random(63);
        int differ = 0;
        for (int i = 0; i < 2000; i++)
        {
            byte[] x = [(byte)random.Next(256), (byte)random.Next(256)], withScale = new byte[1], without = new byte[1];
            float scale = 0.001f + random.NextSingle();
            ReferenceLinearResize.Run(x, withScale, single, middle, 1, new LinearResizeRule(scale, 128, false, new QuantizeRule(scale, 128, QDType.QUInt8, divides: true)), 0, 1);
            ReferenceLinearResize.Run(x, without, single, middle, 1, new LinearResizeRule(1f, 128, false, new QuantizeRule(1f, 128, QDType.QUInt8, divides: true)), 0, 1);
            Assert.InRange(Math.Abs(withScale[0] - without[0]), 0, 1);
            differ += withScale[0] == without[0] ? 0 : 1;
        }
        Assert.InRange(differ, 1, 1000);
    }

    [Fact]
    public void Edges_and_empty_images()
    {
        LinearResizeAxis axis = new(3, [-5f, 0.25f, 2f, 7f]);
        Assert.Equal([0, 0, 2, 2], axis.First);
        Assert.Equal([1, 1, 2, 2], axis.Second);
        Assert.Equal([1f, 0.75f, 0.5f, 0.5f], axis.FirstWeights);
        Assert.Equal([0f, 0.25f, 0.5f, 0.5f], axis.SecondWeights);
        QParams p = new(0.1f, 3, QDType.QUInt8);
        QuantizedLinearResize layer = new(p, (h, w) => (new LinearResizeAxis(h, [0f, 0f]), new LinearResizeAxis(w, [])));
        Assert.Equal([2, 3, 2, 0], layer.Run(QuantizedTensor.Allocate([2, 3, 4, 5], p)).Shape);
        Assert.Equal(ErrorIds.ShapeMismatch, Assert.Throws<QuantException>(() => layer.Run(QuantizedTensor.Allocate([2, 3, 4], p))).ErrorId);
        Assert.Equal(ErrorIds.ShapeMismatch, Assert.Throws<QuantException>(() => layer.Run(QuantizedTensor.Allocate([2, 3, 0, 4], p))).ErrorId);
    }

    private static LinearResizeAxis Axis(Random random)
    {
        int size = random.Next(1, 9), count = random.Next(1, 14);
        float step = (float)size / count;
        return random.Next(3) switch
        {
            0 => new(size, [.. Enumerable.Range(0, count).Select(i => step * (i + 0.5f) - 0.5f)]),
            1 => new(size, [.. Enumerable.Range(0, count).Select(i => i * step)]),
            // In any order, beyond the edges.
            _ => new(size, [.. Enumerable.Range(0, count).Select(_ => (random.NextSingle() * 1.4f - 0.2f) * size)]),
        };
    }

    private static LinearResizeRule Rule(Random random, float scale)
    {
        QDType input = random.Next(2) == 0 ? QDType.QInt8 : QDType.QUInt8, output = random.Next(2) == 0 ? QDType.QInt8 : QDType.QUInt8;
        int zeroPoint = input.Range().Min + random.Next(256);
        return new(scale, zeroPoint, input == QDType.QInt8, new QuantizeRule(random.Next(2) == 0 ? scale : scale * (0.2f + random.NextSingle()), output.Range().Min + random.Next(256), output, divides: random.Next(2) == 0));
    }

    private static Span<byte> Image(byte[] all, int n, int batch) => all.AsSpan(n * (all.Length / batch), all.Length / batch);
}
