namespace QuantPS.Benchmarks;

/// <summary>The options that the kernel benchmarks share: --shape (as often as wanted), --threads 1,2, --bits 7 (inputs of a reduced range) and --json FILE.</summary>
internal sealed record BenchmarkOptions(IReadOnlyList<string> Shapes, int[] Threads, int InputBits, string? Json)
{
    /// <exception cref="ArgumentException">An option that is not known, or without a value.</exception>
    public static BenchmarkOptions Parse(string benchmark, string[] args, string shapeForm)
    {
        List<string> shapes = [];
        int[] threads = [1];
        int bits = 8;
        string? json = null;
        for (int i = 0; i < args.Length; i += 2)
        {
            string value = i + 1 < args.Length ? args[i + 1] : throw new ArgumentException($"'{args[i]}' has no value.");
            switch (args[i])
            {
                case "--shape": shapes.Add(value); break;
                case "--threads": threads = [.. value.Split(',').Select(int.Parse)]; break;
                case "--bits": bits = int.Parse(value); break;
                case "--json": json = value; break;
                default: throw new ArgumentException($"{benchmark} has no option '{args[i]}'. Known: --shape {shapeForm}, --threads 1,2, --bits 7, --json FILE.");
            }
        }
        return new(shapes, threads, bits, json);
    }
}
