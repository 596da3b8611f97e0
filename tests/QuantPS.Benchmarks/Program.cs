using QuantPS.Benchmarks;

Dictionary<string, Func<int>> benchmarks = new(StringComparer.OrdinalIgnoreCase)
{
    ["observers"] = ObserversBenchmark.Run,
};
if (args is [string name, ..] && benchmarks.TryGetValue(name, out Func<int>? run))
    return run();
Console.Error.WriteLine($"usage: dotnet run -c Release --project tests/QuantPS.Benchmarks -- {string.Join('|', benchmarks.Keys)}");
return 2;
