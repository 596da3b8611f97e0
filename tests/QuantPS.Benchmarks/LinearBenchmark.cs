using System.Globalization;
using System.Text.Json;
using QuantPS.Benchmarks.Measuring;
using QuantPS.Benchmarks.Networks;
using QuantPS.Benchmarks.Peers;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Numerics.Engines;
using QuantPS.Engine.Numerics.Requantization;
using QuantPS.Engine.Tensors;

namespace QuantPS.Benchmarks;

/// <summary>Linear layers against ONNX Runtime's QGemm and QLinearMatMul: same process, interleaved, medians, outputs compared with QGemm's.</summary>
internal static class LinearBenchmark
{
    /// <summary>rows,in,out: classifiers of ResNet-50 and MobileNet, the layers of a transformer for 1 and 128 tokens, squeeze-and-excite, odd sizes.</summary>
    private static readonly string[] Shapes =
    [
        "1,2048,1000", "1,1280,1000", "1,512,10", "8,2048,1000", "1,768,768", "1,768,3072", "1,3072,768", "128,768,768", "128,768,3072", "128,3072,768",
        "1,960,240", "1,240,960", "3,333,77", "17,129,33",
    ];

    private sealed record Row(string shape, int threads, string kernel, double us, double ort_qgemm_us, double ort_matmul_us, double ratio, double peak_share, bool equal);

    public static int Run(string[] args)
    {
        BenchmarkOptions options = BenchmarkOptions.Parse("linear", args, "ROWS,IN,OUT");
        Console.WriteLine("shape rows,in,out    threads        us     qgemm    matmul  ratio   peak  equal  kernel");
        List<Row> rows = [];
        foreach (int threads in options.Threads)
        {
            foreach (string shape in options.Shapes.Count > 0 ? options.Shapes : Shapes)
            {
                int[] n = [.. shape.Split(',').Select(v => int.Parse(v, CultureInfo.InvariantCulture))];
                if (n.Length != 3)
                    throw new FormatException($"'{shape}': a shape is ROWS,IN,OUT.");
                Row r = Measure(n[0], n[1], n[2], threads);
                rows.Add(r);
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                    $"{r.shape,-20}{r.threads,8}{r.us,10:F1}{r.ort_qgemm_us,10:F1}{r.ort_matmul_us,10:F1}{r.ratio,7:F2}{r.peak_share,7:P0}{(r.equal ? "    yes" : "     NO")}  {r.kernel}"));
            }
        }
        foreach (IGrouping<int, Row> group in rows.GroupBy(r => r.threads))
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{group.Key} thread(s): geometric mean of the ratio {Math.Exp(group.Average(r => Math.Log(r.ratio))):F2}, smallest {group.Min(r => r.ratio):F2}"));
        if (options.Json is not null)
            File.WriteAllText(options.Json, JsonSerializer.Serialize(rows, new JsonSerializerOptions { WriteIndented = true }));
        return rows.TrueForAll(r => r.equal) ? 0 : 1;
    }

    private static Row Measure(int rows, int inputs, int outputs, int threads)
    {
        var random = new Random(7);
        sbyte[] weight = QuantizedWeights.Normal(random, outputs, inputs);
        float[] weightScales = [.. Enumerable.Range(0, outputs).Select(_ => 0.002f + random.NextSingle() * 0.01f)];
        const float inputScale = 0.02f;
        const byte inputZero = 113, outputZero = 120;
        float outputScale = 0.02f * 0.006f * 74 * 74 * MathF.Sqrt(inputs) / 60;
        Requantizer requantizer = EngineProfiles.Get(EngineKind.OnnxRuntime).CreateRequantizer(new RequantizationSpec
        {
            InputScale = inputScale,
            WeightScales = weightScales,
            PerChannelWeight = true,
            Bias = [.. Enumerable.Range(0, outputs).Select(_ => (random.NextSingle() - 0.5f) * 4)],
            OutputChannels = outputs,
            OutputScale = outputScale,
            OutputZeroPoint = outputZero,
            OutputMin = 0,
            OutputMax = 255,
        });
        Memory<byte> input = new AlignedBuffer<byte>(rows * inputs).Memory, output = new AlignedBuffer<byte>(rows * outputs).Memory;
        random.NextBytes(input.Span);
        KernelThreads.Count = threads;
        LinearKernel kernel = KernelSelector.Select(new LinearProblem
        {
            Weight = weight,
            WeightZeroPoints = new int[outputs],
            OutputFeatures = outputs,
            InputFeatures = inputs,
            InputZeroPoint = inputZero,
            InputFlip = 0,
            Requantizer = requantizer,
        });
        using OrtLinear gemm = new(rows, inputs, outputs, weight, inputScale, inputZero, weightScales, outputScale, outputZero, requantizer.IntegerBias!, input, threads);
        using OrtLinear product = new(rows, inputs, outputs, weight, inputScale, inputZero, weightScales, outputScale, outputZero, null, input, threads);
        long macs = (long)rows * inputs * outputs;
        int repeats = (int)Math.Clamp(4_000_000 / Math.Max(1, macs / 100), 1, 2000);
        double[] t = Interleaved.Medians(9,
            () => { for (int i = 0; i < repeats; i++) kernel.Run(input, rows, output); return null; },
            () => { for (int i = 0; i < repeats; i++) gemm.Run(); return null; },
            () => { for (int i = 0; i < repeats; i++) product.Run(); return null; },
            () => { MultiplyPeak.Run(); return null; });
        double us = t[0] / repeats * 1e6, a = t[1] / repeats * 1e6, b = t[2] / repeats * 1e6;
        return new Row($"{rows},{inputs},{outputs}", threads, kernel.Name, us, a, b, Math.Min(a, b) / us, macs / (us * 1e-6) / (MultiplyPeak.Macs / t[3] * threads), output.Span.SequenceEqual(gemm.Output.Span));
    }
}
