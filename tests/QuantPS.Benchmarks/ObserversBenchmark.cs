using System.Globalization;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Text;
using QuantPS.Benchmarks.Measuring;
using QuantPS.Benchmarks.Peers;
using QuantPS.Engine.Observers;
using QuantPS.Engine.Tensors;

namespace QuantPS.Benchmarks;

/// <summary>Observers: MinMax against the speed at which one thread can read memory, Histogram against PyTorch's.</summary>
internal static class ObserversBenchmark
{
    private const int Rounds = 15;
    private const int ReadBytes = 256 * 1024 * 1024;

    public static int Run()
    {
        MinMaxAgainstMemory();
        HistogramAgainstTorch();
        return 0;
    }

    private static void MinMaxAgainstMemory()
    {
        var buffer = new AlignedBuffer<float>(ReadBytes / sizeof(float));
        var random = new Random(1);
        foreach (ref float v in buffer.Span)
            v = random.NextSingle() - 0.5f;
        int[] shape = [buffer.Length];
        ulong sink = 0;
        double[] t = Interleaved.Medians(Rounds,
            () => { sink += ReadAll(buffer.Span); return null; },
            () => { Observe(new ObserverSpec { Kind = ObserverKind.MinMax }, buffer.Span, shape); return null; });
        GC.KeepAlive(sink);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"minmax      read {ReadBytes / t[0] / 1e9:F1} GB/s   MinMax {ReadBytes / t[1] / 1e9:F1} GB/s   share {t[0] / t[1]:F2}"));
    }

    private static void HistogramAgainstTorch()
    {
        using TorchHistogram? torch = TorchHistogram.TryStart();
        string file = Path.Combine(Path.GetTempPath(), $"quantps-{Guid.NewGuid():N}.npy");
        try
        {
            foreach ((int batches, int elements) in new[] { (16, 32 * 16 * 28 * 28), (16, 32 * 64 * 7 * 7), (64, 4096) })
            {
                float[] data = Data(batches, elements);
                WriteNpy(file, data, batches, elements);
                torch?.Load(file);
                Func<double?> ours = () =>
                {
                    Observer observer = new ObserverSpec { Kind = ObserverKind.Histogram }.Create();
                    for (int b = 0; b < batches; b++)
                        observer.Observe(data.AsSpan(b * elements, elements), [elements]);
                    return null;
                };
                double[] t = torch is null ? Interleaved.Medians(Rounds, ours) : Interleaved.Medians(Rounds, ours, () => torch.Run());
                string peer = torch is null ? "torch is not installed" : string.Create(CultureInfo.InvariantCulture, $"{torch.Version} {t[1] * 1e3:F2} ms   ratio {t[1] / t[0]:F1}");
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"histogram   {batches} x {elements}   ours {t[0] * 1e3:F2} ms   {peer}"));
            }
        }
        finally
        {
            File.Delete(file);
        }
    }

    private static void Observe(ObserverSpec spec, ReadOnlySpan<float> data, int[] shape) => spec.Create().Observe(data, shape);

    /// <summary>What any reader of memory has to do at least: load every byte once. Four independent streams of 512 bits.</summary>
    private static ulong ReadAll(ReadOnlySpan<float> data)
    {
        ReadOnlySpan<Vector512<ulong>> v = MemoryMarshal.Cast<float, Vector512<ulong>>(data);
        Vector512<ulong> a = default, b = default, c = default, d = default;
        for (int i = 0; i + 3 < v.Length; i += 4)
        {
            a |= v[i];
            b |= v[i + 1];
            c |= v[i + 2];
            d |= v[i + 3];
        }
        return Vector512.Sum(a | b | c | d);
    }

    /// <summary>Normal values whose spread grows a little from batch to batch, as activations do.</summary>
    private static float[] Data(int batches, int elements)
    {
        var random = new Random(2);
        var data = new float[batches * elements];
        for (int i = 0; i < data.Length; i++)
        {
            double u = 1 - random.NextDouble(), v = random.NextDouble();
            data[i] = (float)(Math.Sqrt(-2 * Math.Log(u)) * Math.Cos(2 * Math.PI * v) * (1 + 0.02 * (i / elements)));
        }
        return data;
    }

    private static void WriteNpy(string file, float[] data, int rows, int columns)
    {
        string header = $"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}";
        header = header.PadRight((header.Length + 11 + 63) / 64 * 64 - 11) + "\n";
        using FileStream stream = File.Create(file);
        stream.Write([0x93, .. "NUMPY"u8, 1, 0]);
        stream.Write(BitConverter.GetBytes((ushort)header.Length));
        stream.Write(Encoding.ASCII.GetBytes(header));
        stream.Write(MemoryMarshal.AsBytes<float>(data));
    }
}
