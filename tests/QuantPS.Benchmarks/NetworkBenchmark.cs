using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using QuantPS.Benchmarks.Measuring;
using QuantPS.Benchmarks.Networks;
using QuantPS.Benchmarks.Peers;
using QuantPS.Engine.Configuration;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Quantization;
using QuantPS.Onnx.Runtime;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;
using ValueType = QuantPS.Onnx.Execution.ValueType;

namespace QuantPS.Benchmarks;

/// <summary>Whole networks in int8: our runtime on the exported file, and on the quantized model that it was exported from, against ONNX Runtime on the
/// same file. Same process, interleaved, medians.</summary>
/// <remarks>--shape NETWORK,BATCH with resnet50, mobilenetv2, bert-small, vit-tiny, or an ONNX file, with as many numbers behind the batch as its inputs leave
/// sizes open, in their order, or with an image's height and width;
/// --preset NAME is the configuration (onnxruntime), --profile 1 shows each step's share; with --exact 1 ONNX Runtime's products
/// are exact on CPUs without VNNI as well.</remarks>
internal static class NetworkBenchmark
{
    private static readonly string[] Shapes = ["resnet50,1", "resnet50,8", "mobilenetv2,1", "mobilenetv2,8", "bert-small,1", "vit-tiny,1",
        "fmnist-resnet8-bn,1", "fmnist-resnet8-bn,32", "fmnist-mobile-bn,1", "fmnist-mobile-bn,32"];

    /// <summary>Where ties fall otherwise: outputs that differ, and the largest difference in steps of the output.</summary>
    private sealed record Row(string network, int batch, int threads, double file_us, double model_us, double ort_us, double file_ratio, double model_ratio, int outputs, int different, double largest);

    public static int Run(string[] args)
    {
        string preset = Take(ref args, "--preset") ?? "onnxruntime";
        bool profile = Take(ref args, "--profile") is not null, exact = Take(ref args, "--exact") is not null;
        BenchmarkOptions options = BenchmarkOptions.Parse("network", args, "NETWORK,BATCH[,SIZE...]");
        Console.WriteLine("network                  batch threads     file us    model us      ort us   ratio (file)  (model)  outputs that differ");
        List<Row> rows = [];
        foreach (string shape in options.Shapes.Count > 0 ? options.Shapes : Shapes)
        {
            string[] parts = shape.Split(',');
            if (parts.Length < 2)
                throw new FormatException($"'{shape}': a shape is NETWORK,BATCH[,SIZE...].");
            int[] numbers = [.. parts[1..].Select(n => int.Parse(n, CultureInfo.InvariantCulture))];
            OnnxModel real = Load(parts[0]);
            (ValueType Type, int[] Sizes)[] inputs = Inputs(shape, ValueTypes.Infer(real).Inputs.Types, numbers[1..]);
            using Calibrator calibrator = new(real, QConfigPresets.Get(preset));
            for (int i = 0; i < 4; i++)
                calibrator.Observe(Random(i, inputs, 1));
            QuantizedGraph graph = ModelQuantizer.Quantize(calibrator.Finish());
            OnnxModel file = QdqExporter.Export(graph).Model;
            Dictionary<string, Tensor> x = Random(100, inputs, numbers[0]);
            foreach (int threads in options.Threads)
            {
                if (profile)
                    Profile(file, x, threads, exact);
                Row r = Measure(Path.GetFileNameWithoutExtension(parts[0]), graph, file, x, threads, exact);
                rows.Add(r);
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{r.network,-26}{r.batch,4}{r.threads,8}{r.file_us,12:F0}{r.model_us,12:F0}{r.ort_us,12:F0}")
                    + string.Create(CultureInfo.InvariantCulture, $"{r.file_ratio,15:F2}{r.model_ratio,9:F2}  {r.different} of {r.outputs}, by {r.largest:G3} at most"));
            }
        }
        foreach (IGrouping<int, Row> group in rows.GroupBy(r => r.threads))
        {
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{group.Key} thread(s): geometric mean of the file's ratio {Math.Exp(group.Average(r => Math.Log(r.file_ratio))):F2}, smallest {group.Min(r => r.file_ratio):F2}"));
        }
        if (options.Json is not null)
            File.WriteAllText(options.Json, JsonSerializer.Serialize(rows, new JsonSerializerOptions { WriteIndented = true }));
        return 0;
    }

    private static string? Take(ref string[] args, string option)
    {
        int at = Array.IndexOf(args, option);
        if (at < 0 || at + 1 == args.Length)
            return null;
        string value = args[at + 1];
        args = [.. args[..at], .. args[(at + 2)..]];
        return value;
    }

    private static OnnxModel Load(string network) => network switch
    {
        "resnet50" => ResNet50.Create(1),
        "mobilenetv2" => MobileNetV2.Create(1),
        "bert-small" => Transformers.Bert(),
        "vit-tiny" => Transformers.Vision(),
        _ => OnnxModel.Load(File.Exists(network) ? network : Path.Combine("module", "examples", "data", network + ".onnx")),
    };

    /// <summary>The inputs' sizes: -1 for the batch, where that is open, and the numbers for what is open besides.</summary>
    private static (ValueType Type, int[] Sizes)[] Inputs(string shape, IReadOnlyList<ValueType> types, int[] numbers)
    {
        var open = new Queue<int>(numbers);
        (ValueType, int[])[] inputs = [.. types.Select(t => (t, (int[])[.. t.Dims.Select((d, i) => d >= 0 ? d : i == 0 ? -1 : open.Count > 0 ? open.Dequeue()
            : throw new FormatException($"'{shape}': '{t.Name}' {t.ShapeText} leaves more sizes open."))]))];
        return open.Count == 0 ? inputs
            : numbers is [int height, int width] && types is [{ Rank: 4 } image] ? [(image, [image.Dims[0], image.Dims[1], height, width])]
            : throw new FormatException($"'{shape}': {numbers.Length} sizes, but the inputs leave {numbers.Length - open.Count} open: {string.Join(", ", types)}.");
    }

    /// <summary>Noise for every input; 0 and 1 for those that are not of float, which may be token ids, a mask, or flags.</summary>
    private static Dictionary<string, Tensor> Random(int seed, (ValueType Type, int[] Sizes)[] inputs, int batch)
    {
        Random random = new(seed);
        Dictionary<string, Tensor> tensors = [];
        foreach ((ValueType type, int[] sizes) in inputs)
        {
            bool real = type.ElementType is DataType.Float or DataType.Double or DataType.Float16;
            Tensor t = tensors[type.Name] = new Tensor([sizes[0] < 0 ? batch : sizes[0], .. sizes[1..]]);
            foreach (ref float v in t.Span)
                v = !real ? random.Next(2) : (random.NextSingle() + random.NextSingle() + random.NextSingle() - 1.5f) * 2f;
        }
        return tensors;
    }

    private static Row Measure(string name, QuantizedGraph graph, OnnxModel file, IReadOnlyDictionary<string, Tensor> x, int threads, bool exact)
    {
        KernelThreads.Count = threads;
        SessionSettings settings = new() { IntraOpThreads = threads };
        using ModelPlan plan = new(file, settings);
        using Int8Plan own = new(graph, settings);
        using OrtNetwork ort = new(file, [.. plan.Inputs.Types.Select(t => (t, x[t.Name]))], threads, exact);
        ort.Run();
        float[] theirs = Reals(ort.Output()), ours = Reals(plan.Run(x).Values.First());
        double step = graph.QParamsOf(graph.Float.Graph.Outputs[0].Name)?.Scales[0] ?? 1.0;
        double[] gaps = [.. ours.Zip(theirs, (a, b) => Math.Abs(a - b) / step)];
        long start = Stopwatch.GetTimestamp();
        ort.Run();
        int repeats = (int)Math.Clamp(0.02 / Stopwatch.GetElapsedTime(start).TotalSeconds, 1, 1000);
        Interleaved.Settled(() => plan.Run(x));
        Interleaved.Settled(() => own.Run(x));
        double[] t = Interleaved.Medians(15,
            () => { for (int i = 0; i < repeats; i++) plan.Run(x); return null; },
            () => { for (int i = 0; i < repeats; i++) own.Run(x); return null; },
            () => { for (int i = 0; i < repeats; i++) ort.Run(); return null; });
        double[] us = Array.ConvertAll(t, s => s / repeats * 1e6);
        return new Row(name, x.Values.First().Dims[0], threads, us[0], us[1], us[2], us[2] / us[0], us[2] / us[1], ours.Length, gaps.Count(g => g > 0.5), gaps.Max());
    }

    /// <summary>How long each step takes in the quicker runs of many: its share of the whole is asked for, not what else the machine does.</summary>
    private static void Profile(OnnxModel file, IReadOnlyDictionary<string, Tensor> x, int threads, bool exact)
    {
        KernelThreads.Count = threads;
        using ModelPlan plan = new(file, new SessionSettings { IntraOpThreads = threads });
        using OrtNetwork ort = new(file, [.. plan.Inputs.Types.Select(t => (t, x[t.Name]))], threads, exact);
        const int runs = 200;
        List<(string Step, double Us)> times = [];
        var all = new List<double[]>();
        List<double> whole = [], theirs = [];
        for (int run = -10; run < runs; run++)
        {
            times = plan.Time(x);
            long start = Stopwatch.GetTimestamp();
            plan.Run(x);
            TimeSpan ours = Stopwatch.GetElapsedTime(start);
            start = Stopwatch.GetTimestamp();
            ort.Run();
            if (run < 0)
                continue;
            theirs.Add(Stopwatch.GetElapsedTime(start).TotalMicroseconds);
            whole.Add(ours.TotalMicroseconds);
            all.Add([.. times.Select(t => t.Us)]);
        }
        double total = 0;
        for (int s = 0; s < times.Count; s++)
        {
            double us = Quick(all.Select(a => a[s]));
            total += us;
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {us,10:F1} us  {times[s].Step}"));
        }
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {Quick(whole),10:F1} us untimed, {Quick(theirs):F1} us ONNX Runtime: {Quick(theirs) / Quick(whole):F2}"));
        long before = GC.GetTotalAllocatedBytes(true);
        int collections = GC.CollectionCount(2);
        for (int run = 0; run < runs; run++)
            plan.Run(x);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {total,10:F1} us in all; {(GC.GetTotalAllocatedBytes(true) - before) / runs / 1024.0:F0} KiB managed memory a run, {collections} to {GC.CollectionCount(2)} full collections"));
    }

    private static double Quick(IEnumerable<double> us) => us.Order().ElementAt(us.Count() / 5);

    /// <summary>An output as numbers, whether it is of floats or of integers.</summary>
    private static float[] Reals(object output) => (output as Tensor ?? ((QuantizedTensor)output).Dequantize()).ToArray();
}
