using System.Globalization;
using System.Text.Json;
using QuantPS.Benchmarks.Measuring;
using QuantPS.Benchmarks.Peers;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Benchmarks;

/// <summary>What an int8 network does beside convolutions, against ONNX Runtime's operators: same process, interleaved, medians, outputs compared.</summary>
/// <remarks>Outputs are equal where the arithmetic is the same. QLinearSigmoid and QLinearGlobalAveragePool have formulas of their own, which
/// differ from quantize(f(dequantize)) on near-ties: there the share of equal bytes is shown, and none may differ by more than 1.</remarks>
internal static class QuantizeBenchmark
{
    private const float ScaleX = 0.02f, ScaleY = 0.031f, ScaleZ = 0.04f;
    private const byte ZeroX = 113, ZeroY = 97, ZeroZ = 120;

    private sealed record Row(string operation, string shape, int threads, double us, double ort_us, double ratio, double equal);

    /// <summary>N, C, H, W of ResNet-50's, MobileNetV2's and a detector's activations.</summary>
    private static readonly int[][] Elementwise = [[1, 3, 224, 224], [1, 64, 112, 112], [1, 256, 56, 56], [1, 1024, 14, 14], [1, 96, 112, 112], [1, 24, 56, 56], [1, 320, 7, 7], [8, 256, 56, 56]];
    private static readonly int[][] Pooled = [[1, 64, 112, 112], [1, 192, 28, 28], [8, 64, 112, 112]];
    /// <summary>Products, rows, depth, columns of attention: BERT's with 128 tokens and ViT-Ti's.</summary>
    private static readonly int[][] Multiplied = [[8, 128, 64, 128], [8, 128, 128, 64], [3, 196, 64, 196], [3, 196, 196, 64]];
    /// <summary>Rows and elements of their Softmax.</summary>
    private static readonly int[][] Rows = [[1024, 128], [588, 196], [64, 1000]];
    private static readonly int[][] Averaged = [[1, 2048, 7, 7], [1, 1280, 7, 7], [1, 96, 56, 56], [8, 2048, 7, 7]];

    public static int Run(string[] args)
    {
        int[] threads = [1];
        string? json = null, only = null;
        for (int i = 0; i + 1 < args.Length; i += 2)
        {
            switch (args[i])
            {
                case "--threads": threads = [.. args[i + 1].Split(',').Select(int.Parse)]; break;
                case "--json": json = args[i + 1]; break;
                case "--only": only = args[i + 1]; break;
                default: throw new ArgumentException($"quantize has no option '{args[i]}'. Known: --threads 1,2, --only NAME, --json FILE.");
            }
        }
        Console.WriteLine("operation            shape N,C,H,W        threads        us    ort us  ratio   equal");
        List<Row> rows = [];
        foreach (int t in threads)
        {
            KernelThreads.Count = t;
            foreach ((string operation, int[] shape, Func<int[], int, (Action Ours, OrtNode Theirs, Func<double> Equal)> make) in Cases())
            {
                if (only is not null && !operation.StartsWith(only, StringComparison.OrdinalIgnoreCase))
                    continue;
                Row row = Measure(operation, shape, t, make(shape, t));
                rows.Add(row);
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                    $"{row.operation,-21}{row.shape,-22}{row.threads,5}{row.us,10:F1}{row.ort_us,10:F1}{row.ratio,7:F2}{row.equal,8:P2}"));
            }
        }
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"geometric mean of the ratio {Math.Exp(rows.Average(r => Math.Log(r.ratio))):F2}; smallest {rows.Min(r => r.ratio):F2}"));
        if (json is not null)
            File.WriteAllText(json, JsonSerializer.Serialize(rows, new JsonSerializerOptions { WriteIndented = true }));
        return 0;
    }

    private static IEnumerable<(string, int[], Func<int[], int, (Action, OrtNode, Func<double>)>)> Cases() =>
    [
        .. Elementwise.Select(s => ("quantize", s, (Func<int[], int, (Action, OrtNode, Func<double>)>)Quantize)),
        .. Elementwise.Select(s => ("dequantize", s, (Func<int[], int, (Action, OrtNode, Func<double>)>)Dequantize)),
        .. Elementwise.Select(s => ("add", s, (Func<int[], int, (Action, OrtNode, Func<double>)>)Add)),
        .. Elementwise.Select(s => ("mul", s, (Func<int[], int, (Action, OrtNode, Func<double>)>)((shape, t) => Mul(shape, shape, t)))),
        .. Elementwise.Select(s => ("mul by one", s, (Func<int[], int, (Action, OrtNode, Func<double>)>)((shape, t) => Mul(shape, [1, 1, 1, 1], t)))),
        .. Elementwise.Select(s => ("mul planes", s, (Func<int[], int, (Action, OrtNode, Func<double>)>)((shape, t) => Mul(shape, [shape[0], shape[1], 1, 1], t)))),
        .. Elementwise.Select(s => ("mul pixels", s, (Func<int[], int, (Action, OrtNode, Func<double>)>)((shape, t) => Mul([shape[0], shape[2], shape[3], shape[1]], [shape[0], 1, 1, shape[1]], t)))),
        .. Multiplied.Select(s => ("matmul", s, (Func<int[], int, (Action, OrtNode, Func<double>)>)MatMul)),
        .. Rows.Select(s => ("softmax", s, (Func<int[], int, (Action, OrtNode, Func<double>)>)Softmax)),
        .. Elementwise.Select(s => ("concat", s, (Func<int[], int, (Action, OrtNode, Func<double>)>)Concat)),
        .. Elementwise.Select(s => ("table (sigmoid)", s, (Func<int[], int, (Action, OrtNode, Func<double>)>)Table)),
        .. Pooled.Select(s => ("maxpool nchw", s, (Func<int[], int, (Action, OrtNode, Func<double>)>)((shape, t) => MaxPool(shape, t, KernelLayout.Contiguous)))),
        .. Pooled.Select(s => ("maxpool nhwc", s, (Func<int[], int, (Action, OrtNode, Func<double>)>)((shape, t) => MaxPool(shape, t, KernelLayout.ChannelsLast)))),
        .. Averaged.Select(s => ("global mean nchw", s, (Func<int[], int, (Action, OrtNode, Func<double>)>)((shape, t) => GlobalAverage(shape, t, KernelLayout.Contiguous)))),
        .. Averaged.Select(s => ("global mean nhwc", s, (Func<int[], int, (Action, OrtNode, Func<double>)>)((shape, t) => GlobalAverage(shape, t, KernelLayout.ChannelsLast)))),
        .. Elementwise.Select(s => ("nchw to nhwc", s, (Func<int[], int, (Action, OrtNode, Func<double>)>)((shape, t) => Layout(shape, t, toPixels: true)))),
        .. Elementwise.Select(s => ("nhwc to nchw", s, (Func<int[], int, (Action, OrtNode, Func<double>)>)((shape, t) => Layout(shape, t, toPixels: false)))),
    ];

    private static Row Measure(string operation, int[] shape, int threads, (Action Ours, OrtNode Theirs, Func<double> Equal) work)
    {
        using OrtNode theirs = work.Theirs;
        // Enough runs in a round to be long against the clock and the scheduler; and a warm-up that takes our code to its last tier.
        int repeats = Math.Clamp(40_000_000 / Size(shape), 10, 5000);
        for (int i = 0; i < 200; i++)
            work.Ours();
        double[] t = Interleaved.Medians(11,
            () => { for (int i = 0; i < repeats; i++) work.Ours(); return null; },
            () => { for (int i = 0; i < repeats; i++) theirs.Run(); return null; });
        double us = t[0] / repeats * 1e6, ort = t[1] / repeats * 1e6;
        return new Row(operation, string.Join(',', shape), threads, us, ort, ort / us, work.Equal());
    }

    private static (Action, OrtNode, Func<double>) Quantize(int[] shape, int threads)
    {
        float[] x = Reals(Size(shape));
        byte[] y = Bytes(x.Length), z = Bytes(x.Length);
        var rule = new QuantizeRule(ScaleX, ZeroX, QDType.QUInt8, divides: true);
        return (() => QuantizeKernel.Run(x, y, rule),
            new OrtNode(Nodes.Create("QuantizeLinear", "n", ["x", "s", "z"], ["o"]), [("x", shape, x)], (shape, z), [("s", ScaleX), ("z", ZeroX)], threads), () => Share(y, z));
    }

    private static (Action, OrtNode, Func<double>) Dequantize(int[] shape, int threads)
    {
        byte[] x = RandomBytes(Size(shape), 1);
        float[] y = Floats(x.Length), z = Floats(x.Length);
        return (() => DequantizeKernel.Run(x, QDType.QUInt8, y, ScaleX, ZeroX),
            new OrtNode(Nodes.Create("DequantizeLinear", "n", ["x", "s", "z"], ["o"]), [("x", shape, x)], (shape, z), [("s", ScaleX), ("z", ZeroX)], threads),
            () => y.Where((v, i) => v == z[i]).Count() / (double)y.Length);
    }

    private static (Action, OrtNode, Func<double>) Add(int[] shape, int threads)
    {
        byte[] a = RandomBytes(Size(shape), 2), b = RandomBytes(a.Length, 3), y = Bytes(a.Length), z = Bytes(a.Length);
        BinaryRule rule = BinaryRule.ByRatios(new QParams(ScaleX, ZeroX, QDType.QUInt8), new QParams(ScaleY, ZeroY, QDType.QUInt8), new QParams(ScaleZ, ZeroZ, QDType.QUInt8));
        NodeProto node = Nodes.Create("QLinearAdd", "n", ["x", "sx", "zx", "y", "sy", "zy", "sz", "zz"], ["o"]);
        node.Domain = "com.microsoft";
        return (() => BinaryKernel.Run(a, b, y, rule),
            new OrtNode(node, [("x", shape, a), ("y", shape, b)], (shape, z), [("sx", ScaleX), ("zx", ZeroX), ("sy", ScaleY), ("zy", ZeroY), ("sz", ScaleZ), ("zz", ZeroZ)], threads), () => Share(y, z));
    }

    /// <summary>The second operand is broadcast.</summary>
    private static (Action, OrtNode, Func<double>) Mul(int[] shape, int[] other, int threads)
    {
        byte[] a = RandomBytes(Size(shape), 2), b = RandomBytes(Size(other), 3), z = Bytes(a.Length);
        QParams px = new(ScaleX, ZeroX, QDType.QUInt8), py = new(ScaleY, ZeroY, QDType.QUInt8), pz = new(ScaleZ, ZeroZ, QDType.QUInt8);
        BinaryRule rule = new(px, py, new QuantizeRule(ScaleZ, ZeroZ, QDType.QUInt8, divides: true), fused: false, relu: false, BinaryOperation.Multiply);
        BinaryOperands operands = new(new QuantizedTensor(shape, a, px), new QuantizedTensor(other, b, py), pz, anyLayout: false);
        NodeProto node = Nodes.Create("QLinearMul", "n", ["x", "sx", "zx", "y", "sy", "zy", "sz", "zz"], ["o"]);
        node.Domain = "com.microsoft";
        return (() =>
            {
                if (operands.Broadcast.IsPlain)
                    BinaryKernel.Run(operands.X, operands.Y, operands.Z, rule);
                else
                    BinaryRuns.Run(operands, operands.Broadcast.Length, (p, q, r) => BinaryKernel.Run(p, q, r, rule, vectors: true));
            },
            new OrtNode(node, [("x", shape, a), ("y", other, b)], (shape, z), [("sx", ScaleX), ("zx", ZeroX), ("sy", ScaleY), ("zy", ZeroY), ("sz", ScaleZ), ("zz", ZeroZ)], threads),
            () => Share(operands.Z.ToArray(), z));
    }

    private static (Action, OrtNode, Func<double>) MatMul(int[] shape, int threads)
    {
        (int products, int rows, int depth, int columns) = (shape[0], shape[1], shape[2], shape[3]);
        byte[] a = RandomBytes(products * rows * depth, 2), b = RandomBytes(products * depth * columns, 3), y = Bytes(products * rows * columns), z = Bytes(y.Length);
        const float scale = 10f;
        MatMulKernel kernel = KernelSelector.Select(new MatMulProblem
        {
            LeftZeroPoint = ZeroX, LeftSigned = false, RightZeroPoint = ZeroY, RightSigned = false, Multiplier = ScaleX * ScaleY / scale, OutputZeroPoint = ZeroZ, OutputSigned = false,
        });
        MatMulStack stack = new(rows, depth, columns, [.. Enumerable.Range(0, products)], [.. Enumerable.Range(0, products)]);
        NodeProto node = Nodes.Create("QLinearMatMul", "n", ["x", "sx", "zx", "y", "sy", "zy", "sz", "zz"], ["o"]);
        return (() => kernel.Run(a, b, stack, y),
            new OrtNode(node, [("x", [products, rows, depth], a), ("y", [products, depth, columns], b)], ([products, rows, columns], z),
                [("sx", ScaleX), ("zx", ZeroX), ("sy", ScaleY), ("zy", ZeroY), ("sz", scale), ("zz", ZeroZ)], threads), () => Share(y, z));
    }

    private static (Action, OrtNode, Func<double>) Softmax(int[] shape, int threads)
    {
        byte[] x = RandomBytes(Size(shape), 2), y = Bytes(x.Length), z = Bytes(x.Length);
        SoftmaxRule rule = new(new QParams(ScaleX, ZeroX, QDType.QUInt8), new QParams(1f / 256, 0, QDType.QUInt8), 256);
        NodeProto node = Nodes.Create("QLinearSoftmax", "n", ["x", "sx", "zx", "sz", "zz"], ["o"], Nodes.Attribute("axis", -1L), Nodes.Attribute("opset", 13L));
        node.Domain = "com.microsoft";
        return (() => SoftmaxKernel.Run(x, y, shape[1], rule),
            new OrtNode(node, [("x", shape, x)], (shape, z), [("sx", ScaleX), ("zx", ZeroX), ("sz", 1f / 256), ("zz", (byte)0)], threads), () => Share(y, z));
    }

    /// <summary>Two tensors along the channels, which are last here; the second one's parameters are not the result's.</summary>
    private static (Action, OrtNode, Func<double>) Concat(int[] shape, int threads)
    {
        int channels = shape[1], area = shape[2] * shape[3];
        byte[] a = RandomBytes(Size(shape), 2), b = RandomBytes(a.Length, 3), y = Bytes(2 * a.Length), z = Bytes(y.Length);
        QParams px = new(ScaleX, ZeroX, QDType.QUInt8), py = new(ScaleY, ZeroY, QDType.QUInt8);
        QuantizedConcat layer = new(px, engine: EngineKind.OnnxRuntime);
        int[] from = [shape[0], shape[2], shape[3], channels], to = [shape[0], shape[2], shape[3], 2 * channels];
        NodeProto node = Nodes.Create("QLinearConcat", "n", ["sx", "zx", "x", "sx", "zx", "y", "sy", "zy"], ["o"], Nodes.Attribute("axis", 3L));
        node.Domain = "com.microsoft";
        return (() =>
            {
                layer.Join(a, px, shape[0], channels, area, y, 2 * channels, 0, KernelLayout.ChannelsLast);
                layer.Join(b, py, shape[0], channels, area, y, 2 * channels, channels, KernelLayout.ChannelsLast);
            },
            new OrtNode(node, [("x", from, a), ("y", from, b)], (to, z), [("sx", ScaleX), ("zx", ZeroX), ("sy", ScaleY), ("zy", ZeroY)], threads), () => Share(y, z));
    }

    private static (Action, OrtNode, Func<double>) Table(int[] shape, int threads)
    {
        byte[] x = RandomBytes(Size(shape), 4), y = Bytes(x.Length), z = Bytes(x.Length);
        var layer = new QuantizedTable(new QParams(ScaleX, ZeroX, QDType.QUInt8), new QParams(1f / 256, 0, QDType.QUInt8), v => 1f / (1f + MathF.Exp(-v)), onnxRule: true);
        NodeProto node = Nodes.Create("QLinearSigmoid", "n", ["x", "sx", "zx", "sz", "zz"], ["o"]);
        node.Domain = "com.microsoft";
        return (() => layer.Run(x, y),
            new OrtNode(node, [("x", shape, x)], (shape, z), [("sx", ScaleX), ("zx", ZeroX), ("sz", 1f / 256), ("zz", (byte)0)], threads), () => Share(y, z));
    }

    /// <summary>ONNX Runtime's MaxPool knows planes, its NhwcMaxPool pixels.</summary>
    private static (Action, OrtNode, Func<double>) MaxPool(int[] shape, int threads, KernelLayout layout)
    {
        int h = (shape[2] - 1) / 2 + 1, w = (shape[3] - 1) / 2 + 1;
        byte[] x = RandomBytes(Size(shape), 5), y = Bytes(shape[0] * shape[1] * h * w), z = Bytes(y.Length);
        QuantizedMaxPool layer = new(new PoolGeometry([3, 3], [2, 2], [1, 1]));
        bool last = layout == KernelLayout.ChannelsLast;
        NodeProto node = Nodes.Create(last ? "NhwcMaxPool" : "MaxPool", "n", ["x"], ["o"],
            Nodes.Attribute("kernel_shape", [3, 3]), Nodes.Attribute("strides", [2, 2]), Nodes.Attribute("pads", [1, 1, 1, 1]));
        node.Domain = last ? "com.microsoft" : "";
        int[] from = last ? [shape[0], shape[2], shape[3], shape[1]] : shape, to = last ? [shape[0], h, w, shape[1]] : [shape[0], shape[1], h, w];
        return (() => layer.Run(x, shape[0], shape[1], [shape[2], shape[3]], QDType.QUInt8, y, layout), new OrtNode(node, [("x", from, x)], (to, z), [], threads), () => Share(y, z));
    }

    private static (Action, OrtNode, Func<double>) GlobalAverage(int[] shape, int threads, KernelLayout layout)
    {
        byte[] x = RandomBytes(Size(shape), 6), y = Bytes(shape[0] * shape[1]), z = Bytes(y.Length);
        QuantizedGlobalAveragePool layer = new(new QParams(ScaleX, ZeroX, QDType.QUInt8), new QParams(ScaleX / 4, ZeroZ, QDType.QUInt8), onnxRule: true);
        bool last = layout == KernelLayout.ChannelsLast;
        NodeProto node = Nodes.Create("QLinearGlobalAveragePool", "n", ["x", "sx", "zx", "sz", "zz"], ["o"], Nodes.Attribute("channels_last", last ? 1L : 0L));
        node.Domain = "com.microsoft";
        int[] from = last ? [shape[0], shape[2], shape[3], shape[1]] : shape, to = last ? [shape[0], 1, 1, shape[1]] : [shape[0], shape[1], 1, 1];
        return (() => layer.Run(x, shape[0], shape[1], shape[2] * shape[3], y, layout),
            new OrtNode(node, [("x", from, x)], (to, z), [("sx", ScaleX), ("zx", ZeroX), ("sz", ScaleX / 4), ("zz", ZeroZ)], threads), () => Share(y, z));
    }

    private static (Action, OrtNode, Func<double>) Layout(int[] shape, int threads, bool toPixels)
    {
        int area = shape[2] * shape[3];
        byte[] x = RandomBytes(Size(shape), 7), y = Bytes(x.Length), z = Bytes(x.Length);
        int[] planes = shape, pixels = [shape[0], shape[2], shape[3], shape[1]];
        NodeProto node = Nodes.Create("Transpose", "n", ["x"], ["o"], Nodes.Attribute("perm", toPixels ? [0, 2, 3, 1] : [0, 3, 1, 2]));
        return (() => (toPixels ? (Action<ReadOnlyMemory<byte>, Memory<byte>, int, int, int>)LayoutConversion.ToChannelsLast : LayoutConversion.ToContiguous)(x, y, shape[0], shape[1], area),
            new OrtNode(node, [("x", toPixels ? planes : pixels, x)], (toPixels ? pixels : planes, z), [], threads), () => Share(y, z));
    }

    /// <summary>Equal bytes; throws where two differ by more than 1.</summary>
    private static double Share(byte[] ours, byte[] theirs)
    {
        int equal = 0;
        for (int i = 0; i < ours.Length; i++)
        {
            if (Math.Abs(ours[i] - theirs[i]) > 1)
                throw new InvalidOperationException($"Byte {i} is {ours[i]} here and {theirs[i]} there.");
            equal += ours[i] == theirs[i] ? 1 : 0;
        }
        return equal / (double)ours.Length;
    }

    private static int Size(int[] shape) => shape.Aggregate(1, (a, b) => a * b);

    private static byte[] Bytes(int count) => GC.AllocateArray<byte>(count, pinned: true);

    private static float[] Floats(int count) => GC.AllocateArray<float>(count, pinned: true);

    private static byte[] RandomBytes(int count, int seed)
    {
        byte[] bytes = Bytes(count);
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    private static float[] Reals(int count)
    {
        var random = new Random(8);
        float[] x = Floats(count);
        for (int i = 0; i < count; i++)
            x[i] = (random.NextSingle() - 0.45f) * 5.5f;
        return x;
    }
}
