using QuantPS.Benchmarks;

Dictionary<string, Func<string[], int>> benchmarks = new(StringComparer.OrdinalIgnoreCase)
{
    ["calibrate"] = CalibrateBenchmark.Run,
    ["conv"] = ConvBenchmark.Run,
    ["elements"] = _ => ElementCostBenchmark.Run(),
    ["linear"] = LinearBenchmark.Run,
    ["network"] = NetworkBenchmark.Run,
    ["observers"] = _ => ObserversBenchmark.Run(),
    ["quantize"] = QuantizeBenchmark.Run,
};
if (args is [string name, .. string[] options] && benchmarks.TryGetValue(name, out Func<string[], int>? run))
    return run(options);
Console.Error.WriteLine($"usage: dotnet run -c Release --project tests/QuantPS.Benchmarks -- {string.Join('|', benchmarks.Keys)} [options]");
return 2;
