using System.Globalization;
using System.Text.Json;
using QuantPS.Benchmarks.Measuring;
using QuantPS.Benchmarks.Networks;
using QuantPS.Benchmarks.Peers;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Numerics.Engines;
using QuantPS.Engine.Numerics.Requantization;
using QuantPS.Engine.Tensors;

namespace QuantPS.Benchmarks;

/// <summary>Convolutions against ONNX Runtime's QLinearConv in both of its layouts: same process, interleaved, medians, outputs compared.</summary>
internal static class ConvBenchmark
{
    private sealed record Row(string shape, int threads, string kernel, double us, double ort_nchw_us, double ort_nhwc_us, double ratio, double peak_share, bool equal);

    public static int Run(string[] args)
    {
        BenchmarkOptions options = BenchmarkOptions.Parse("conv", args, "N,C,H,W,O,K,S,P,G");
        IReadOnlyList<ConvShape> shapes = options.Shapes.Count > 0 ? [.. options.Shapes.Select(ConvShape.Parse)] : ConvShapes.All;
        Console.WriteLine("shape N,C,H,W,O,K,S,P,G       threads        us  ort nchw  ort nhwc  ratio   peak  equal  kernel");
        List<Row> rows = [];
        foreach (int t in options.Threads)
        {
            foreach (ConvShape shape in shapes)
            {
                Row row = Measure(shape, t, options.InputBits);
                rows.Add(row);
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                    $"{row.shape,-30}{row.threads,7}{row.us,10:F1}{row.ort_nchw_us,10:F1}{row.ort_nhwc_us,10:F1}{row.ratio,7:F2}{row.peak_share,7:P0}{(row.equal ? "    yes" : "     NO")}  {row.kernel}"));
            }
        }
        foreach (IGrouping<int, Row> group in rows.Where(r => ConvShape.Parse(r.shape).Macs >= 1_000_000).GroupBy(r => r.threads))
        {
            double[] ratios = [.. group.Select(r => r.ratio)];
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{group.Key} thread(s), {ratios.Length} shapes of 1 MMAC and more: geometric mean of the ratio {Math.Exp(ratios.Average(Math.Log)):F2}, smallest {ratios.Min():F2}"));
        }
        if (options.Json is not null)
            File.WriteAllText(options.Json, JsonSerializer.Serialize(rows, new JsonSerializerOptions { WriteIndented = true }));
        return rows.TrueForAll(r => r.equal) ? 0 : 1;
    }

    private static Row Measure(ConvShape s, int threads, int bits)
    {
        var random = new Random(7);
        int depth = s.Channels / s.Groups * s.Kernel * s.Kernel;
        sbyte[] weight = QuantizedWeights.Normal(random, s.Outputs, depth);
        float[] weightScales = [.. Enumerable.Range(0, s.Outputs).Select(_ => 0.002f + random.NextSingle() * 0.01f)];
        float[] bias = [.. Enumerable.Range(0, s.Outputs).Select(_ => (random.NextSingle() - 0.5f) * 4)];
        const float inputScale = 0.02f;
        byte inputZero = (byte)(113 >> (8 - bits));
        const byte outputZero = 120;
        float outputScale = 0.02f * 0.006f * 74 * 74 / (1 << (8 - bits)) * MathF.Sqrt(depth) / 60;
        Requantizer requantizer = EngineProfiles.Get(EngineKind.OnnxRuntime).CreateRequantizer(new RequantizationSpec
        {
            InputScale = inputScale,
            WeightScales = weightScales,
            PerChannelWeight = true,
            Bias = bias,
            OutputChannels = s.Outputs,
            OutputScale = outputScale,
            OutputZeroPoint = outputZero,
            OutputMin = 0,
            OutputMax = 255,
        });
        var problem = new ConvProblem
        {
            Weight = weight,
            WeightZeroPoints = new int[s.Outputs],
            OutputChannels = s.Outputs,
            ChannelsPerGroup = s.Channels / s.Groups,
            Geometry = new ConvGeometry([s.Kernel, s.Kernel], [s.Stride, s.Stride], [s.Padding, s.Padding], null, null, s.Groups),
            InputZeroPoint = inputZero,
            InputFlip = 0,
            Requantizer = requantizer,
        };
        // On 64-byte boundaries, as our tensors and ONNX Runtime's own allocator have them.
        Memory<byte> nchw = new AlignedBuffer<byte>(s.Batch * s.Channels * s.Height * s.Width).Memory, nhwc = new AlignedBuffer<byte>(nchw.Length).Memory;
        random.NextBytes(nchw.Span);
        foreach (ref byte x in nchw.Span)
            x >>= 8 - bits;
        Transpose(nchw.Span, nhwc.Span, s.Batch, s.Channels, s.Height * s.Width);

        KernelThreads.Count = threads;
        ConvKernel kernel = KernelSelector.Select(problem);
        bool last = kernel.Layout == KernelLayout.ChannelsLast;
        Memory<byte> input = last ? nhwc : nchw, output = new AlignedBuffer<byte>(s.Batch * s.Outputs * s.OutHeight * s.OutWidth).Memory;
        using OrtConv first = new(s, weight, inputScale, inputZero, weightScales, outputScale, outputZero, requantizer.IntegerBias!, nchw, channelsLast: false, threads);
        using OrtConv second = new(s, weight, inputScale, inputZero, weightScales, outputScale, outputZero, requantizer.IntegerBias!, nhwc, channelsLast: true, threads);

        // Enough runs in a round to be long against the clock and the scheduler.
        int repeats = (int)Math.Clamp(4_000_000 / Math.Max(1, s.Macs / 300), 1, 2000);
        double[] t = Interleaved.Medians(9,
            () => { for (int i = 0; i < repeats; i++) kernel.Run(input, s.Batch, [s.Height, s.Width], output); return null; },
            () => { for (int i = 0; i < repeats; i++) first.Run(); return null; },
            () => { for (int i = 0; i < repeats; i++) second.Run(); return null; },
            () => { MultiplyPeak.Run(); return null; });
        Memory<byte> mine = output;
        if (!last)
        {
            mine = new byte[output.Length];
            Transpose(output.Span, mine.Span, s.Batch, s.Outputs, s.OutHeight * s.OutWidth);
        }
        double us = t[0] / repeats * 1e6, a = t[1] / repeats * 1e6, b = t[2] / repeats * 1e6;
        (kernel as IDisposable)?.Dispose();
        return new Row(s.ToString(), threads, kernel.Name, us, a, b, Math.Min(a, b) / us, s.Macs / (us * 1e-6) / (MultiplyPeak.Macs / t[3] * threads), mine.Span.SequenceEqual(second.Output.Span));
    }

    private static void Transpose(ReadOnlySpan<byte> planes, Span<byte> pixels, int batch, int channels, int area)
    {
        for (int n = 0; n < batch; n++)
            for (int c = 0; c < channels; c++)
                for (int i = 0; i < area; i++)
                    pixels[(n * area + i) * channels + c] = planes[(n * channels + c) * area + i];
    }
}
