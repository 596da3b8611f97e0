using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using QuantPS.Benchmarks.Measuring;
using QuantPS.Benchmarks.Networks;
using QuantPS.Engine.Configuration;
using QuantPS.Engine.Observers;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Quantization;

namespace QuantPS.Benchmarks;

/// <summary>Calibration against plain float inference of the same images, method by method; what a second ConvertTo-Quantized costs; and, in
/// processes of their own, how much memory calibration takes.</summary>
internal static class CalibrateBenchmark
{
    private const string Usage = "Known: --network NAME, --method NAME, --batch N,N, --images N (a round), --rounds N, --threads N, --memory N,N (images), --json FILE.";

    private sealed record Row(string network, string method, int batch, double default_ms, double plain_ms, double calibrate_ms, double ratio);

    private sealed record Network(string Name, int[] Shape, Func<OnnxModel> Create);

    private static readonly Network[] Networks =
    [
        new("fmnist-resnet8-bn", [1, 28, 28], () => OnnxModel.Load(Example("fmnist-resnet8-bn.onnx"))),
        new("fmnist-mobile-bn", [1, 28, 28], () => OnnxModel.Load(Example("fmnist-mobile-bn.onnx"))),
        new("resnet50", [3, 224, 224], () => ResNet50.Create(1)),
        new("mobilenetv2", [3, 224, 224], () => MobileNetV2.Create(1)),
    ];

    private static readonly (string Name, ObserverSpec Spec)[] Methods =
    [
        ("MinMax", new() { Kind = ObserverKind.MinMax }),
        ("MovingAverageMinMax", new() { Kind = ObserverKind.MovingAverageMinMax }),
        ("Histogram", new() { Kind = ObserverKind.Histogram }),
        ("Histogram-1.13", new() { Kind = ObserverKind.Histogram, TorchVersion = Engine.Numerics.TorchVersion.V1_13 }),
        ("Mse", new() { Kind = ObserverKind.Mse }),
        ("OrtMinMax", new() { Kind = ObserverKind.OrtMinMax }),
        ("Entropy", new() { Kind = ObserverKind.Entropy, Bins = 128 }),
        ("Percentile", new() { Kind = ObserverKind.Percentile }),
        ("Distribution", new() { Kind = ObserverKind.Distribution }),
    ];

    public static int Run(string[] args)
    {
        string? network = null, method = null, json = null;
        int[] batches = [1, 8], memory = [];
        int images = 0, rounds = 7, threads = Environment.ProcessorCount;
        for (int i = 0; i < args.Length; i += 2)
        {
            string value = i + 1 < args.Length ? args[i + 1] : throw new ArgumentException($"'{args[i]}' has no value. {Usage}");
            switch (args[i])
            {
                case "--network": network = value; break;
                case "--method": method = value; break;
                case "--batch": batches = [.. value.Split(',').Select(int.Parse)]; break;
                case "--images": images = int.Parse(value, CultureInfo.InvariantCulture); break;
                case "--threads": threads = int.Parse(value, CultureInfo.InvariantCulture); break;
                case "--rounds": rounds = int.Parse(value, CultureInfo.InvariantCulture); break;
                case "--memory": memory = [.. value.Split(',').Select(int.Parse)]; break;
                case "--peak": return PrintPeak(value.Split(','));
                case "--json": json = value; break;
                default: throw new ArgumentException($"calibrate has no option '{args[i]}'. {Usage}");
            }
        }
        Network[] networks = [.. Networks.Where(n => network is null || n.Name.StartsWith(network, StringComparison.OrdinalIgnoreCase))];
        (string Name, ObserverSpec Spec)[] methods = [.. Methods.Where(m => method is null || m.Name.StartsWith(method, StringComparison.OrdinalIgnoreCase))];
        if (memory.Length > 0)
            return Memory(networks, methods, batches[^1], memory);
        List<Row> rows = [];
        foreach (Network n in networks)
        {
            OnnxModel model = n.Create();
            foreach (int batch in batches)
                rows.AddRange(Measure(n, model, methods, batch, images > 0 ? images : n.Shape[^1] > 28 ? 16 : 1024, rounds, threads));
            Convert(n, model);
        }
        if (json is not null)
            File.WriteAllText(json, JsonSerializer.Serialize(rows, new JsonSerializerOptions { WriteIndented = true }));
        return 0;
    }

    private static List<Row> Measure(Network network, OnnxModel model, (string Name, ObserverSpec Spec)[] methods, int batch, int images, int rounds, int threads)
    {
        Tensor[] data = [.. Images(network, batch, Math.Max(batch, Math.Min(images, 64)))];
        int runs = Math.Max(1, images / batch);
        SessionSettings settings = new() { IntraOpThreads = threads };
        // Once with the threads that ONNX Runtime chooses itself, which may be fewer than there are cores, and once with as many as calibrating has.
        using OnnxRuntimeSession byDefault = new(model), plain = new(model, settings: settings);
        string[] output = [plain.Outputs[0].Name];
        List<Calibrator> calibrators = [];
        List<Func<double?>> work = [.. new[] { byDefault, plain }.Select<OnnxRuntimeSession, Func<double?>>(s => () => Each(t => s.Run(s.Inputs.Named(t), output, (_, _, _) => { })))];
        foreach ((_, ObserverSpec spec) in methods)
        {
            Calibrator calibrator = new(model, Config(spec), settings: settings);
            calibrators.Add(calibrator);
            work.Add(() => Each(t => calibrator.Observe(t)));
        }
        double[] seconds = Interleaved.Medians(rounds, [.. work]);
        CalibrationData seen = calibrators[0].Finish();
        double values = seen.Observers.Values.Sum(o => o.ElementCount) / (double)seen.SampleCount;
        calibrators.ForEach(c => c.Dispose());
        List<Row> rows = [.. methods.Select((m, k) => new Row(network.Name, m.Name, batch, seconds[0] * 1e3 / runs / batch, seconds[1] * 1e3 / runs / batch, seconds[k + 2] * 1e3 / runs / batch, seconds[k + 2] / seconds[1]))];
        Console.WriteLine($"{network.Name}, batches of {batch}: {threads} threads: milliseconds an image, of {values:F0} values in {seen.Observers.Count} tensors");
        foreach (Row r in rows)
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {r.method,-20} plain {r.plain_ms,8:F3}  calibrate {r.calibrate_ms,8:F3}  ratio {r.ratio:F2}; to ONNX Runtime's own threads ({r.default_ms:F3}) {r.calibrate_ms / r.default_ms:F2}"));
        return rows;

        double? Each(Action<Tensor> run)
        {
            for (int i = 0; i < runs; i++)
                run(data[i % data.Length]);
            return null;
        }
    }

    /// <summary>ConvertTo-Quantized on one calibration again and again, with what may change from one time to the next.</summary>
    private static void Convert(Network network, OnnxModel model)
    {
        foreach (string preset in new[] { "x86", "onnxruntime" })
        {
            using Calibrator calibrator = new(model, QConfigPresets.Get(preset));
            foreach (Tensor t in Images(network, 1, 4))
                calibrator.Observe(t);
            CalibrationData data = calibrator.Finish();
            Console.Write($"{network.Name}, {preset}: ConvertTo-Quantized in milliseconds:");
            (string, QuantizeOptions?)[] cases =
            [
                ("first", null), ("again", null), ("again", null), ("without Add", new() { ExcludedOpTypes = ["Add"] }), ("int8 activations", new() { ActivationType = Engine.Numerics.QDType.QInt8, SymmetricActivations = true }),
                ("weights per tensor", new() { PerChannel = false }), ("again", new() { PerChannel = false }),
            ];
            foreach ((string what, QuantizeOptions? options) in cases)
            {
                long start = Stopwatch.GetTimestamp();
                _ = ModelQuantizer.Quantize(data, options: options);
                Console.Write(string.Create(CultureInfo.InvariantCulture, $" {what} {Stopwatch.GetElapsedTime(start).TotalMilliseconds:F0};"));
            }
            Console.WriteLine();
        }
    }

    /// <summary>Each measurement in a process of its own, which prints the most memory that it ever had.</summary>
    private static int Memory(Network[] networks, (string Name, ObserverSpec Spec)[] methods, int batch, int[] images)
    {
        foreach (Network network in networks)
        {
            foreach ((string name, _) in methods)
            {
                long[] peaks = [.. images.Select(n => Peak(network.Name, name, batch, n))];
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                    $"{network.Name} {name,-20} {string.Join(", ", images.Zip(peaks, (n, p) => $"{n} images {p / 1048576.0:F1} MB"))}; ratio {(double)peaks[^1] / peaks[0]:F3}"));
            }
        }
        return 0;
    }

    private static long Peak(string network, string method, int batch, int images)
    {
        ProcessStartInfo start = new(Environment.ProcessPath!) { RedirectStandardOutput = true };
        if (Path.GetFileNameWithoutExtension(start.FileName) == "dotnet")
            start.ArgumentList.Add(typeof(CalibrateBenchmark).Assembly.Location);
        foreach (string argument in new[] { "calibrate", "--peak", $"{network},{method},{batch},{images}" })
            start.ArgumentList.Add(argument);
        using Process process = Process.Start(start)!;
        string text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return long.Parse(text, CultureInfo.InvariantCulture);
    }

    private static int PrintPeak(string[] wanted)
    {
        Network network = Networks.First(n => n.Name == wanted[0]);
        using Calibrator calibrator = new(network.Create(), Config(Methods.First(m => m.Name == wanted[1]).Spec));
        // One tensor for all batches: the memory that images take before they are observed, and until they are collected, is their maker's.
        int batch = int.Parse(wanted[2], CultureInfo.InvariantCulture);
        Tensor tensor = new([batch, .. network.Shape]);
        Random random = new(5);
        for (int done = 0; done < int.Parse(wanted[3], CultureInfo.InvariantCulture); done += batch)
        {
            Fill(tensor, random);
            calibrator.Observe(tensor);
        }
        using Process me = Process.GetCurrentProcess();
        Console.WriteLine(me.PeakWorkingSet64);
        return 0;
    }

    private static QConfig Config(ObserverSpec activation) => QConfigPresets.Get("onednn") with { Name = "benchmark", Activation = activation };

    /// <summary>Normalized noise: what the pixels show does not matter to the time, their spread does.</summary>
    private static IEnumerable<Tensor> Images(Network network, int batch, int count)
    {
        Random random = new(5);
        for (int done = 0; done < count; done += batch)
        {
            Tensor t = new([Math.Min(batch, count - done), .. network.Shape]);
            Fill(t, random);
            yield return t;
        }
    }

    private static void Fill(Tensor t, Random random)
    {
        foreach (ref float v in t.Span)
            v = (random.NextSingle() + random.NextSingle() + random.NextSingle() - 1.5f) * 2;
    }

    /// <summary>The file of module/examples/data, looked for from the binary upwards.</summary>
    private static string Example(string name)
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            string path = Path.Combine(folder.FullName, "module", "examples", "data", name);
            if (File.Exists(path))
                return path;
        }
        throw new FileNotFoundException("Run the benchmark from within the repository: module/examples/data is missing.", name);
    }
}
