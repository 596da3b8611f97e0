using System.Text.Json;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Tests.Golden;

/// <summary>PyTorch's eager quantized operators against torch 1.13: every integer, scale and zero point equal.</summary>
/// <remarks>Compat mode is checked on whole tensors. Default mode is checked where PyTorch ran its vector blocks (the first n - n mod 64 elements of
/// element-wise operators) and where nothing overflows; on every other operator it is checked on whole tensors too.</remarks>
public class OpGoldenTests
{
    private const string File = "ops_torch113.json";

    // A corpus made by tests/golden/tools/ops.py with another seed and --n.
    private const string CorpusVariable = "QUANTPS_OPS_CORPUS";

    private static readonly string[] ElementwiseOps =
        ["sigmoid", "tanh", "hardsigmoid", "hardswish", "leaky_relu", "elu", "celu", "threshold", "add", "add_relu", "mul", "mul_relu", "add_scalar", "add_scalar_relu"];

    public static TheoryData<string> All() => GoldenFile.Ids(File);

    public static TheoryData<string> WithoutOverflow() => GoldenFile.Ids(File, c => !IsOverflow(c));

    [Theory, MemberData(nameof(All))]
    public void Compat_mode_equals_torch(string id)
    {
        JsonElement c = GoldenFile.Load(File)[id];
        Check(c, Run(c, compat: true), int.MaxValue);
    }

    [Theory, MemberData(nameof(WithoutOverflow))]
    public void Default_mode_equals_torch_in_vector_blocks(string id)
    {
        JsonElement c = GoldenFile.Load(File)[id];
        Check(c, Run(c, compat: false), Comparable(c));
    }

    [Fact]
    public void Every_operator_and_engine_is_there()
    {
        var seen = GoldenFile.Load(File).Cases.Select(c => c.GetProperty("op").GetString() + " " + c.GetProperty("engine").GetString()).ToHashSet();
        string[] ops = [.. ElementwiseOps, "relu", "relu6", "clamp", "hardtanh", "mul_scalar", "mul_scalar_relu", "cat", "cat_relu", "avg_pool", "max_pool",
            "adaptive_avg_pool", "mean", "interpolate", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d"];
        Assert.Superset(ops.SelectMany(o => new[] { o + " qnnpack", o + " onednn" }).Append("conv_transpose3d onednn").ToHashSet(), seen);
    }

    [Fact]
    public void A_larger_corpus_equals_torch()
    {
        string? path = Environment.GetEnvironmentVariable(CorpusVariable);
        if (path is null)
            Assert.Skip($"Set {CorpusVariable} to a file made by tests/golden/tools/ops.py --n 40 --seed 7.");
        using JsonDocument document = JsonDocument.Parse(System.IO.File.ReadAllBytes(path));
        var counts = new SortedDictionary<string, (int Cases, long Elements, long Compat, long Default, long Tail)>();
        var examples = new List<string>();
        foreach (JsonElement c in document.RootElement.GetProperty("cases").EnumerateArray())
        {
            string key = $"{c.GetProperty("op").GetString()} {c.GetProperty("engine").GetString()} {c.GetProperty("y").DType()}";
            int[] expected = c.GetProperty("y").Integers();
            QuantizedTensor exact = Run(c, compat: true), sane = Run(c, compat: false);
            Check(c, exact, 0);
            int comparable = Comparable(c);
            (int cases, long elements, long compat, long inBlocks, long tail) = counts.GetValueOrDefault(key);
            long before = compat;
            for (int i = 0; i < expected.Length; i++)
            {
                compat += exact.GetInteger(i) == expected[i] ? 0 : 1;
                if (!IsOverflow(c) && sane.GetInteger(i) != expected[i])
                    _ = i < comparable ? inBlocks++ : tail++;
            }
            if (compat > before)
                examples.Add($"{c.GetProperty("id").GetString()}: {compat - before} of {expected.Length} {c.GetProperty("p")}");
            counts[key] = (cases + 1, elements + expected.Length, compat, inBlocks, tail);
        }
        foreach ((string key, var n) in counts)
            TestContext.Current.TestOutputHelper!.WriteLine($"{key,-34} {n.Cases,6} cases {n.Elements,10} elements; mismatches: compat {n.Compat}, default {n.Default}, default in left-overs {n.Tail}");
        foreach (string example in examples.Take(30))
            TestContext.Current.TestOutputHelper!.WriteLine(example);
        Assert.Equal(0, counts.Values.Sum(n => n.Compat + n.Default));
    }

    private static bool IsOverflow(JsonElement c) =>
        !c.IsMissing("extreme") || (!c.GetProperty("p").IsMissing("flavour") && c.GetProperty("p").GetProperty("flavour").GetString() == "hugebias");

    /// <summary>How many elements, from the first, the default mode has to get right.</summary>
    private static int Comparable(JsonElement c)
    {
        string op = c.GetProperty("op").GetString()!;
        int n = c.GetProperty("y").Integers().Length;
        JsonElement arguments = c.GetProperty("p");
        bool equalShapes = c.GetProperty("x").EnumerateArray().All(x => x.Shape().SequenceEqual(c.GetProperty("y").Shape()));
        bool float32 = c.GetProperty("engine").GetString() != "qnnpack" || c.GetProperty("y").DType() == "i1" || !equalShapes;
        if (ElementwiseOps.Contains(op) && float32)
            return equalShapes ? n - n % 64 : 0;
        // QNNPACK's max pool reads pixels outside a dilated window.
        if (op == "max_pool" && !arguments.IsMissing("di") && arguments.GetProperty("di").Ints().Any(d => d > 1) && c.GetProperty("engine").GetString() == "qnnpack")
            return 0;
        // Channels-last kernels treat the channels behind the last multiple of 8 otherwise.
        bool byChannel = op is "cat" or "cat_relu" or "avg_pool" || (op == "interpolate" && arguments.GetProperty("mode").GetString() == "bilinear");
        return byChannel && c.GetProperty("x").EnumerateArray().Any(x => x.Shape() is { Length: > 3 } s && s[1] % 8 != 0) ? 0 : n;
    }

    private static void Check(JsonElement c, QuantizedTensor y, int elements)
    {
        JsonElement expected = c.GetProperty("y");
        Assert.Equal(expected.Shape(), y.Shape);
        Assert.Equal(expected.GetProperty("s").GetSingle(), y.QParams.Scales[0]);
        Assert.Equal(expected.GetProperty("z").GetInt32(), y.QParams.ZeroPoints[0]);
        Assert.Equal(expected.DType() == "i1" ? QDType.QInt8 : QDType.QUInt8, y.DType);
        int[] wanted = expected.Integers();
        int[] got = [.. Enumerable.Range(0, y.Length).Select(y.GetInteger)];
        Assert.Equal(wanted.Take(elements), got.Take(elements));
    }

    private static QuantizedTensor Tensor(JsonElement t)
    {
        var p = new QParams(t.GetProperty("s").GetSingle(), t.GetProperty("z").GetInt32(), t.DType() == "i1" ? QDType.QInt8 : QDType.QUInt8);
        return QuantizedTensor.FromIntegers(t.Integers(), t.Shape(), p);
    }

    private static QuantizedTensor Run(JsonElement c, bool compat)
    {
        string op = c.GetProperty("op").GetString()!;
        EngineKind engine = Enum.Parse<EngineKind>(c.GetProperty("engine").GetString()!, ignoreCase: true);
        JsonElement p = c.GetProperty("p");
        QuantizedTensor[] x = [.. c.GetProperty("x").EnumerateArray().Select(Tensor)];
        QParams a = x[0].QParams;
        bool relu = op.EndsWith("_relu", StringComparison.Ordinal) || (!p.IsMissing("relu") && p.GetProperty("relu").GetBoolean());
        var options = new LayerOptions { Compat = compat, TorchVersion = TorchVersion.V1_13, Relu = relu && op != "leaky_relu" };
        bool channelsLast = c.GetProperty("x")[0].TryGetProperty("cl", out JsonElement cl) && cl.GetBoolean();
        QParams? output = p.IsMissing("s") ? null : new QParams(p.GetProperty("s").GetSingle(), p.GetProperty("z").GetInt32(), a.DType);
        int[] Ints(string name) => p.GetProperty(name).Ints();
        float Number(string name) => p.GetProperty(name).Single();
        float? Maybe(string name) => p.IsMissing(name) ? null : p.GetProperty(name).Single();
        PoolGeometry Pool() => new(Ints("k"), Ints("st"), Ints("pd"), p.IsMissing("di") ? null : Ints("di"), p.GetProperty("ceil").GetBoolean());
        return op switch
        {
            "sigmoid" => new QuantizedSigmoid(a, engine, options, output).Run(x[0]),
            "tanh" => new QuantizedTanh(a, engine, options).Run(x[0]),
            "hardsigmoid" => new QuantizedHardSigmoid(a, engine, options).Run(x[0]),
            "hardswish" => new QuantizedHardSwish(a, output!, engine, options).Run(x[0]),
            "leaky_relu" => new QuantizedLeakyRelu(a, output!, Number("slope"), engine, options).Run(x[0]),
            "elu" => new QuantizedElu(a, output!, Number("alpha"), Number("scale"), Number("input_scale"), engine, options).Run(x[0]),
            "celu" => QuantizedElu.Celu(a, output!, p.GetProperty("alpha").GetDouble(), engine, options).Run(x[0]),
            "relu" => new QuantizedRelu(a).Run(x[0]),
            "relu6" => QuantizedClamp.Relu6(a).Run(x[0]),
            "clamp" or "hardtanh" => new QuantizedClamp(a, Maybe("min"), Maybe("max")).Run(x[0]),
            "threshold" => new QuantizedThreshold(a, Number("threshold"), Number("value"), engine, options).Run(x[0]),
            "add" or "add_relu" => new QuantizedAdd(a, x[1].QParams, output!, engine, options).Run(x[0], x[1]),
            "mul" or "mul_relu" => new QuantizedMul(output!, engine, options).Run(x[0], x[1]),
            "add_scalar" or "add_scalar_relu" => new QuantizedAddScalar(p.GetProperty("c").GetDouble(), engine, options).Run(x[0]),
            "mul_scalar" or "mul_scalar_relu" => new QuantizedMulScalar(p.GetProperty("c").GetDouble(), relu).Run(x[0]),
            "cat" or "cat_relu" => new QuantizedConcat(output!, p.GetProperty("dim").GetInt32(), channelsLast, engine, options).Run(x),
            "max_pool" => new QuantizedMaxPool(Pool(), engine, options).Run(x[0]),
            "avg_pool" => new QuantizedAveragePool(Pool(), p.GetProperty("cip").GetBoolean(), p.IsMissing("div") ? null : p.GetProperty("div").GetInt32(), channelsLast, engine, options).Run(x[0]),
            "adaptive_avg_pool" => new QuantizedAdaptiveAveragePool(Ints("size"), channelsLast, engine, options).Run(x[0]),
            "mean" => new QuantizedMean(Ints("dims"), p.GetProperty("keep").GetBoolean(), channelsLast, engine).Run(x[0]),
            "interpolate" => new QuantizedInterpolate(Ints("size"), Enum.Parse<InterpolationMode>(p.GetProperty("mode").GetString()!, ignoreCase: true), p.GetProperty("align").GetBoolean(),
                p.IsMissing("factors") ? null : [.. p.GetProperty("factors").EnumerateArray().Select(f => f.GetDouble())], channelsLast, options).Run(x[0]),
            _ => Layer(op, c, p, a, output!, engine, options).Run(x[0]),
        };
    }

    private static QuantizedWeightLayer Layer(string op, JsonElement c, JsonElement p, QParams input, QParams output, EngineKind engine, LayerOptions options)
    {
        bool transposed = op.StartsWith("conv_transpose", StringComparison.Ordinal), perChannel = p.GetProperty("pc").GetBoolean();
        int[] shape = c.GetProperty("w").Shape();
        var w = new QParams(p.GetProperty("ws").Singles(), p.GetProperty("wz").Ints(), QDType.QInt8, perChannel ? QScheme.PerChannelAffine : QScheme.PerTensorAffine, perChannel ? transposed ? 1 : 0 : -1);
        var weight = new QuantizedTensor(shape, (byte[])(Array)c.GetProperty("w").Elements<sbyte>(), w);
        float[]? bias = c.IsMissing("b") ? null : c.GetProperty("b").Elements<float>();
        int[] Ints(string name) => p.GetProperty(name).Ints();
        if (transposed)
            return new QuantizedConvTranspose(weight, bias, new ConvTransposeGeometry(shape[2..], Ints("st"), Ints("pd"), Ints("op"), Ints("di"), Ints("g")[0]), input, output, engine, options);
        var geometry = new ConvGeometry(shape[2..], Ints("st"), Ints("pd"), null, Ints("di"), Ints("g")[0]) { Reflect = !p.IsMissing("reflect") };
        return new QuantizedConv(weight, bias, geometry, input, output, engine, options);
    }
}
