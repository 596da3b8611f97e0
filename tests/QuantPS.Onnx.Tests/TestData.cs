using System.Buffers.Binary;
using System.IO.Compression;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model;

namespace QuantPS.Onnx.Tests;

/// <summary>The Fashion-MNIST networks and images.</summary>
internal static class TestData
{
    public static readonly string[] Networks = ["fmnist-resnet8", "fmnist-resnet8-bn", "fmnist-mobile", "fmnist-mobile-bn"];

    private static readonly Lazy<Tensor> CalibrationImages = new(() => Images("calib512")), AllTestImages = new(() => Images("test2000"));

    public static string PathOf(string file) => Path.Combine(AppContext.BaseDirectory, "models", file);

    public static OnnxModel Network(string name) => OnnxModel.Load(PathOf(name + ".onnx"));

    /// <summary>512 training images, [512, 1, 28, 28], normalized.</summary>
    public static Tensor Calibration => CalibrationImages.Value;

    /// <summary>2,000 test images, [2000, 1, 28, 28], normalized.</summary>
    public static Tensor TestImages => AllTestImages.Value;

    /// <summary>The labels of the test images.</summary>
    public static byte[] TestLabels => Read("test2000-labels-idx1-ubyte.gz").Data;

    /// <summary>Consecutive batches of a tensor, over the same memory.</summary>
    public static IEnumerable<Tensor> Batches(Tensor all, int size, int first = int.MaxValue)
    {
        int count = Math.Min(first, all.Dims[0]), each = all.Length / all.Dims[0];
        for (int at = 0; at < count; at += size)
        {
            int n = Math.Min(size, count - at);
            int[] shape = all.Shape;
            shape[0] = n;
            yield return new Tensor(shape, all.Memory.Slice(at * each, n * each));
        }
    }

    /// <summary>The class with the largest value, row by row.</summary>
    public static int[] Top1(Tensor logits)
    {
        int classes = logits.Dims[1];
        return [.. Enumerable.Range(0, logits.Dims[0]).Select(n => logits.Span.Slice(n * classes, classes).IndexOfMax())];
    }

    private static int IndexOfMax(this Span<float> values)
    {
        int best = 0;
        for (int i = 1; i < values.Length; i++)
        {
            if (values[i] > values[best])
                best = i;
        }
        return best;
    }

    private static Tensor Images(string name)
    {
        (int[] shape, byte[] data) = Read(name + "-images-idx3-ubyte.gz");
        Tensor t = new(shape[0], 1, shape[1], shape[2]);
        for (int i = 0; i < data.Length; i++)
            t.Span[i] = (data[i] / 255f - 0.2860f) / 0.3530f;
        return t;
    }

    /// <summary>The idx format: two zeros, the type, the rank, big-endian sizes, the data.</summary>
    private static (int[] Shape, byte[] Data) Read(string file)
    {
        using GZipStream gz = new(File.OpenRead(PathOf(file)), CompressionMode.Decompress);
        using MemoryStream all = new();
        gz.CopyTo(all);
        ReadOnlySpan<byte> bytes = all.ToArray();
        var shape = new int[bytes[3]];
        for (int d = 0; d < shape.Length; d++)
            shape[d] = BinaryPrimitives.ReadInt32BigEndian(bytes[(4 + 4 * d)..]);
        return (shape, bytes[(4 + 4 * shape.Length)..].ToArray());
    }
}
