using QuantPS.Engine.Kernels;
using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Kernels.Vector;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Tests.Kernels;

/// <summary>Pooling in both layouts equals the reference, bit for bit: ranks, strides, dilations, paddings, ceil mode, all numbers of channels around the blocks.</summary>
[Collection(nameof(KernelThreads))]
public class PoolKernelTests
{
    private const int Cases = 1200;

    [Fact]
    public void Max_pooling_equals_the_reference_in_both_layouts()
    {
        var random = new Random(41);
        for (int i = 0; i < Cases; i++)
        {
            (PoolShape shape, string what) = RandomShape(random, dilated: true);
            int batch = random.Next(1, 4), channels = Channels(random, i);
            bool signed = random.Next(2) == 0;
            QDType dtype = signed ? QDType.QInt8 : QDType.QUInt8;
            byte[] planes = Bytes(random, batch * channels * shape.InCount), expected = new byte[batch * channels * shape.OutCount], actual = new byte[expected.Length];
            ReferenceMaxPool.Run(planes, expected, shape, batch * channels, signed, KernelLayout.Contiguous);
            KernelThreads.Count = random.Next(1, 4);
            MaxPoolKernel.Run(planes, actual, batch, channels, shape, dtype, KernelLayout.Contiguous);
            Equal(expected, actual, $"case {i}: planes, {batch} x {channels}, {what}");

            byte[] pixels = ToPixels(planes, batch, channels), last = new byte[expected.Length];
            expected = ToPixels(expected, batch, channels);
            MaxPoolKernel.Run(pixels, actual, batch, channels, shape, dtype, KernelLayout.ChannelsLast);
            Equal(expected, actual, $"case {i}: pixels, {batch} x {channels}, {what}");
            for (int n = 0; n < batch; n++)
                ReferenceMaxPool.Run(Image(pixels, n, batch), Image(last, n, batch), shape, channels, signed, KernelLayout.ChannelsLast);
            Equal(expected, last, $"case {i}: reference on pixels, {batch} x {channels}, {what}");
        }
        KernelThreads.Count = Environment.ProcessorCount;
    }

    [Fact]
    public void Average_pooling_equals_the_reference_in_both_layouts()
    {
        var random = new Random(42);
        for (int i = 0; i < Cases; i++)
        {
            (PoolShape shape, string what) = random.Next(3) == 0 ? RandomAdaptive(random) : RandomShape(random, dilated: false);
            int batch = random.Next(1, 4), channels = Channels(random, i);
            AverageRule rule = RandomRule(random, channels);
            byte[] planes = Bytes(random, batch * channels * shape.InCount), expected = new byte[batch * channels * shape.OutCount], actual = new byte[expected.Length];
            for (int n = 0; n < batch; n++)
                ReferenceAveragePool.Run(Image(planes, n, batch), Image(expected, n, batch), shape, channels, rule, KernelLayout.Contiguous);
            KernelThreads.Count = random.Next(1, 4);
            AveragePoolKernel.Run(planes, actual, batch, channels, shape, rule, KernelLayout.Contiguous);
            Equal(expected, actual, $"case {i}: planes, {batch} x {channels}, {what}");

            byte[] pixels = ToPixels(planes, batch, channels), last = new byte[expected.Length];
            expected = ToPixels(expected, batch, channels);
            AveragePoolKernel.Run(pixels, actual, batch, channels, shape, rule, KernelLayout.ChannelsLast);
            Equal(expected, actual, $"case {i}: pixels, {batch} x {channels}, {what}");
            for (int n = 0; n < batch; n++)
                ReferenceAveragePool.Run(Image(pixels, n, batch), Image(last, n, batch), shape, channels, rule, KernelLayout.ChannelsLast);
            Equal(expected, last, $"case {i}: reference on pixels, {batch} x {channels}, {what}");
        }
        KernelThreads.Count = Environment.ProcessorCount;
    }

    [Fact]
    public void A_window_of_more_than_256_pixels_is_summed_exactly()
    {
        // All 255: 16 bits hold 257 of them.
        const int channels = 70, size = 40;
        PoolShape shape = PoolShape.Adaptive([size, size], [1, 1]);
        var p = new QParams(0.1f, 3, QDType.QUInt8);
        var rule = new AverageRule(p, AverageForm.ReciprocalFactor, AverageDivisor.Inside, 0, channels, new LayerOptions());
        byte[] x = new byte[channels * size * size], y = new byte[channels];
        Array.Fill(x, (byte)255);
        VectorAveragePool.Run(x, y, shape, channels, rule, 0, 1);
        Assert.All(y, v => Assert.Equal(255, v));
    }

    [Fact]
    public void Global_average_pooling_equals_the_reference_in_both_layouts()
    {
        var random = new Random(43);
        for (int i = 0; i < Cases; i++)
        {
            int batch = random.Next(1, 4), channels = Channels(random, i), area = random.Next(6) switch { 0 => 49, 1 => random.Next(1, 20), 2 => random.Next(200, 1000), _ => random.Next(1, 200) };
            QDType dtype = random.Next(2) == 0 ? QDType.QInt8 : QDType.QUInt8, outputType = random.Next(2) == 0 ? QDType.QInt8 : QDType.QUInt8;
            int least = dtype.Range().Min;
            float scale = 0.01f + random.NextSingle();
            var output = new QuantizeRule(random.Next(2) == 0 ? scale : scale * (0.1f + random.NextSingle()), outputType.Range().Min + random.Next(256), outputType, divides: random.Next(2) == 0);
            GlobalAverageRule rule = new(scale, random.Next(2) == 0 ? area : 1f, least + random.Next(256), dtype == QDType.QInt8, area, output);
            byte[] planes = Bytes(random, batch * channels * area), expected = new byte[batch * channels], actual = new byte[expected.Length];
            ReferenceGlobalAveragePool.Planes(planes, expected, rule);
            KernelThreads.Count = random.Next(1, 4);
            GlobalAveragePoolKernel.Run(planes, actual, batch, channels, rule, KernelLayout.Contiguous);
            Equal(expected, actual, $"case {i}: planes, {batch} x {channels} x {area} {rule}");
            byte[] pixels = ToPixels(planes, batch, channels);
            Array.Clear(actual);
            GlobalAveragePoolKernel.Run(pixels, actual, batch, channels, rule, KernelLayout.ChannelsLast);
            Equal(expected, actual, $"case {i}: pixels, {batch} x {channels} x {area} {rule}");
            // Parts of the channels, as threads take them.
            for (int from = 0; from < channels; from += Lanes.Wide)
            {
                int to = Math.Min(from + Lanes.Wide, channels);
                byte[] part = new byte[to - from], wanted = new byte[to - from];
                VectorGlobalAveragePool.Pixels(Image(pixels, 0, batch), part, channels, from, rule);
                ReferenceGlobalAveragePool.Pixels(Image(pixels, 0, batch), wanted, channels, from, rule);
                Equal(wanted, part, $"case {i}: channels {from} to {to} of {channels}");
                Equal(expected[from..to], wanted, $"case {i}: reference, channels {from} to {to}");
            }
        }
        KernelThreads.Count = Environment.ProcessorCount;
    }

    [Fact]
    public void Layers_give_the_same_in_both_layouts()
    {
        var random = new Random(44);
        foreach (EngineKind engine in new[] { EngineKind.X86, EngineKind.Qnnpack })
        {
            foreach (int channels in new[] { 1, 3, 24, 64, 100 })
            {
                var p = new QParams(0.05f, 100, QDType.QUInt8);
                int[] spatial = [9, 12];
                var x = new QuantizedTensor([2, channels, .. spatial], Bytes(random, 2 * channels * 108), p);
                byte[] pixels = ToPixels(x.Bytes.ToArray(), 2, channels);
                var geometry = new PoolGeometry([3, 3], [2, 2], [1, 1]);
                Check(new QuantizedMaxPool(geometry, engine).Run(x), (from, to) => new QuantizedMaxPool(geometry, engine).Run(from, 2, channels, spatial, p.DType, to, KernelLayout.ChannelsLast));
                Check(new QuantizedAveragePool(geometry, false, engine: engine).Run(x),
                    (from, to) => new QuantizedAveragePool(geometry, false, engine: engine).Run(from, 2, channels, spatial, p, to, KernelLayout.ChannelsLast));
                Check(new QuantizedAdaptiveAveragePool([3, 4], engine: engine).Run(x),
                    (from, to) => new QuantizedAdaptiveAveragePool([3, 4], engine: engine).Run(from, 2, channels, spatial, p, to, KernelLayout.ChannelsLast));
                Check(new QuantizedGlobalAveragePool(p, p).Run(x), (from, to) => new QuantizedGlobalAveragePool(p, p).Run(from, 2, channels, 108, to, KernelLayout.ChannelsLast));

                void Check(QuantizedTensor planes, Action<byte[], byte[]> layer)
                {
                    byte[] y = new byte[planes.Length];
                    layer(pixels, y);
                    Equal(ToPixels(planes.Bytes.ToArray(), 2, channels), y, $"{engine} {channels}");
                }
            }
        }
    }

    private static (PoolShape, string) RandomShape(Random random, bool dilated)
    {
        int rank = random.Next(1, 4);
        int[] kernel = Draw(1, rank == 3 ? 4 : 6), stride = Draw(1, 4), padding = [.. kernel.Select(k => random.Next(0, k / 2 + 1))], dilation = Draw(1, dilated ? 4 : 2);
        int[] input = [.. Enumerable.Range(0, rank).Select(d => Math.Max(1, dilation[d] * (kernel[d] - 1) + 1 - 2 * padding[d]) + random.Next(0, rank == 3 ? 4 : 12))];
        var geometry = new PoolGeometry(kernel, stride, padding, dilation, random.Next(2) == 0);
        return (PoolShape.Of(geometry, input), $"{geometry} on [{string.Join(",", input)}]");

        int[] Draw(int low, int high) => [.. Enumerable.Range(0, rank).Select(_ => random.Next(low, high))];
    }

    private static (PoolShape, string) RandomAdaptive(Random random)
    {
        int rank = random.Next(1, 4);
        int[] input = [.. Enumerable.Range(0, rank).Select(_ => random.Next(1, rank == 3 ? 6 : 15))], output = [.. input.Select(s => random.Next(1, s + 3))];
        return (PoolShape.Adaptive(input, output), $"adaptive [{string.Join(",", input)}] to [{string.Join(",", output)}]");
    }

    private static AverageRule RandomRule(Random random, int channels)
    {
        QDType dtype = random.Next(2) == 0 ? QDType.QInt8 : QDType.QUInt8;
        var p = new QParams(0.01f + random.NextSingle(), dtype.Range().Min + random.Next(256), dtype);
        AverageForm form = Enum.GetValues<AverageForm>()[random.Next(7)];
        AverageDivisor divisor = form == AverageForm.Raw ? AverageDivisor.ByDimension : Enum.GetValues<AverageDivisor>()[random.Next(3)];
        var options = new LayerOptions { Compat = random.Next(2) == 0, TorchVersion = random.Next(2) == 0 ? TorchVersion.V1_13 : TorchVersion.V2 };
        return new AverageRule(p, form, divisor, random.Next(1, 20) * (random.Next(4) == 0 ? -1 : 1), channels, options);
    }

    private static int Channels(Random random, int i) => i < 140 ? i + 1 : random.Next(1, 200);

    private static Span<byte> Image(byte[] all, int n, int batch) => all.AsSpan(n * (all.Length / batch), all.Length / batch);

    private static byte[] ToPixels(byte[] planes, int batch, int channels)
    {
        var pixels = new byte[planes.Length];
        int area = planes.Length / batch / channels;
        for (int n = 0; n < batch; n++)
            ReferenceTranspose.Run(Image(planes, n, batch), Image(pixels, n, batch), channels, area, 0, channels, 0, area);
        return pixels;
    }

    private static void Equal(byte[] expected, byte[] actual, string what)
    {
        int at = expected.AsSpan().CommonPrefixLength(actual);
        Assert.True(at == expected.Length, at == expected.Length ? "" : $"{what} at {at}: {expected[at]} expected, {actual[at]} given");
    }

    private static byte[] Bytes(Random random, int count)
    {
        var bytes = new byte[count];
        random.NextBytes(bytes);
        return bytes;
    }
}
