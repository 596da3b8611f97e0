using System.Text.Json;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Kernels.Reference;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Tests.Golden;

/// <summary>Integers in, integers out, against the real engines of torch 1.13 and libtorch 2.10: every one equal.</summary>
public class KernelGoldenTests
{
    private const string Torch113 = "kernels_torch113.json", LibTorch210 = "kernels_libtorch210.json";

    /// <summary>Every (file, case, engine) for which the real engine gave an output.</summary>
    private static IEnumerable<(string File, string Id, string Engine)> Outputs() =>
        from file in new[] { Torch113, LibTorch210 }
        from c in GoldenFile.Load(file).Cases
        from y in c.GetProperty("y").EnumerateObject()
        select (file, c.GetProperty("id").GetString()!, y.Name);

    public static TheoryData<string, string, string> All() => [.. Outputs().Select(o => new TheoryDataRow<string, string, string>(o.File, o.Id, o.Engine))];

    public static TheoryData<string, string, string> WithoutEngineDefect() =>
        [.. Outputs().Where(o => !MeetsEngineDefect(Layer(o.File, o.Id, o.Engine, compat: false))).Select(o => new TheoryDataRow<string, string, string>(o.File, o.Id, o.Engine))];

    [Theory, MemberData(nameof(All))]
    public void Compat_mode_equals_the_real_engine(string file, string id, string engine) => Check(file, id, engine, compat: true);

    [Theory, MemberData(nameof(WithoutEngineDefect))]
    public void Default_mode_equals_the_real_engine_where_it_has_no_defect(string file, string id, string engine) => Check(file, id, engine, compat: false);

    [Fact]
    public void Only_the_named_defects_are_left_to_compat_mode()
    {
        // FBGEMM's depthwise int16 saturation and QNNPACK's saturated biases, and no more than these: the rest is checked in both modes.
        int all = Outputs().Count(), clean = WithoutEngineDefect().Count();
        Assert.InRange(clean, all * 85 / 100, all - 1);
    }

    private static bool MeetsEngineDefect(QuantizedWeightLayer layer) => layer.EffectiveEngine switch
    {
        EngineKind.Fbgemm => layer is QuantizedConv conv && PairSaturatingConv.Applies(ProblemOf(conv)),
        EngineKind.Qnnpack => layer.QuantizedBias is { } b && b.Any(v => v is int.MaxValue or int.MinValue),
        _ => false,
    };

    private static ConvProblem ProblemOf(QuantizedConv conv) => new()
    {
        Weight = conv.Weight.SBytes.ToArray(),
        WeightZeroPoints = new int[conv.OutputChannels],
        OutputChannels = conv.OutputChannels,
        ChannelsPerGroup = conv.Weight.Dims[1],
        Geometry = conv.Geometry,
        InputZeroPoint = 0,
        InputFlip = 0,
        Requantizer = conv.Requantizer,
    };

    private static void Check(string file, string id, string engine, bool compat)
    {
        JsonElement c = GoldenFile.Load(file)[id];
        QuantizedWeightLayer layer = Layer(file, id, engine, compat);
        var x = new QuantizedTensor(c.GetProperty("x").Shape(), c.GetProperty("x").Elements<byte>(), layer.InputQParams);
        QuantizedTensor y = layer.Run(x);
        Assert.Equal(c.GetProperty("y_sh").Ints(), y.Shape);
        Assert.Equal(c.GetProperty("y").GetProperty(engine).GetBytesFromBase64(), (byte[])y.IntRepr());
    }

    private static QuantizedWeightLayer Layer(string file, string id, string engine, bool compat)
    {
        JsonElement c = GoldenFile.Load(file)[id];
        string op = c.GetProperty("op").GetString()!;
        bool perChannel = c.GetProperty("per_channel").GetBoolean();
        var w = new QParams(c.GetProperty("w_scale").Singles(), c.GetProperty("w_zp").Ints(), QDType.QInt8, perChannel ? QScheme.PerChannelAffine : QScheme.PerTensorAffine, perChannel ? 0 : -1);
        int[] shape = c.GetProperty("w").Shape();
        var weight = new QuantizedTensor(shape, (byte[])(Array)c.GetProperty("w").Elements<sbyte>(), w);
        float[]? bias = c.IsMissing("b") ? null : c.GetProperty("b").Elements<float>();
        var input = new QParams(c.GetProperty("x_scale").GetSingle(), c.GetProperty("x_zp").GetInt32(), QDType.QUInt8);
        var output = new QParams(c.GetProperty("y_scale").GetSingle(), c.GetProperty("y_zp").GetInt32(), QDType.QUInt8);
        var options = new LayerOptions { Name = id, Relu = op.EndsWith("_relu", StringComparison.Ordinal), Compat = compat, TorchVersion = file == Torch113 ? TorchVersion.V1_13 : TorchVersion.V2 };
        EngineKind kind = Enum.Parse<EngineKind>(engine, ignoreCase: true);
        if (op.StartsWith("linear", StringComparison.Ordinal))
            return new QuantizedLinear(weight, bias, input, output, kind, options);
        var geometry = new ConvGeometry(shape[2..], c.GetProperty("stride").Ints(), c.GetProperty("pad").Ints(), null, c.GetProperty("dil").Ints(), c.GetProperty("groups").GetInt32());
        return new QuantizedConv(weight, bias, geometry, input, output, kind, options);
    }
}
