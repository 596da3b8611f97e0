using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;

namespace QuantPS.Benchmarks;

/// <summary>What observing costs one thread, in nanoseconds an element, for values in the second cache: as a ReLU leaves them (half are zeros) and as they are.
/// Beside it what no histogram can go below: its increments alone.</summary>
internal static class ElementCostBenchmark
{
    private const int Elements = 200_000, Rounds = 3000, Bins = 2048;

    private static readonly (string Name, ObserverSpec Spec)[] Methods =
    [
        ("MinMax", new() { Kind = ObserverKind.MinMax }),
        ("Histogram", new() { Kind = ObserverKind.Histogram }),
        ("Histogram 1.13", new() { Kind = ObserverKind.Histogram, TorchVersion = TorchVersion.V1_13 }),
        ("Entropy, 128 bins", new() { Kind = ObserverKind.Entropy, Bins = 128 }),
        ("Percentile", new() { Kind = ObserverKind.Percentile }),
        ("Distribution", new() { Kind = ObserverKind.Distribution }),
    ];

    public static int Run()
    {
        Random random = new(7);
        float[] any = new float[Elements], relu = new float[Elements];
        for (int i = 0; i < Elements; i++)
        {
            any[i] = (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()));
            relu[i] = MathF.Max(0, any[i]);
        }
        Console.WriteLine("| method | ReLU | any |\n|---|--:|--:|");
        foreach ((string name, ObserverSpec spec) in Methods)
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {name} | {Observe(spec, relu):F3} | {Observe(spec, any):F3} |"));
        ushort[] bins = Array.ConvertAll(any, v => (ushort)Math.Clamp((int)((v + 4.5f) / 9 * Bins), 0, Bins - 1));
        int[] table = new int[4 * Bins];
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"increments alone: {Smallest(() => Increment(bins, table)):F3}"));
        return 0;
    }

    private static double Observe(ObserverSpec spec, float[] data)
    {
        Observer observer = spec.Create();
        return Smallest(() =>
        {
            observer.Prepare(data, [data.Length]);
            observer.Commit();
        });
    }

    private static double Smallest(Action work)
    {
        TimeSpan smallest = TimeSpan.MaxValue;
        for (int round = 0; round < Rounds; round++)
        {
            long start = Stopwatch.GetTimestamp();
            work();
            TimeSpan time = Stopwatch.GetElapsedTime(start);
            smallest = time < smallest ? time : smallest;
        }
        return smallest.TotalNanoseconds / Elements;
    }

    /// <summary>Bins that are known, in four tables: a load, an increment, a store each.</summary>
    private static void Increment(ushort[] bins, int[] table)
    {
        ref int t = ref table[0];
        ref int t1 = ref Unsafe.Add(ref t, Bins), t2 = ref Unsafe.Add(ref t, 2 * Bins), t3 = ref Unsafe.Add(ref t, 3 * Bins);
        for (int i = 0; i <= bins.Length - 4; i += 4)
        {
            Unsafe.Add(ref t, (nint)bins[i])++;
            Unsafe.Add(ref t1, (nint)bins[i + 1])++;
            Unsafe.Add(ref t2, (nint)bins[i + 2])++;
            Unsafe.Add(ref t3, (nint)bins[i + 3])++;
        }
    }
}
