using System.Text.Json;
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
        [.. Outputs().Where(o => !KernelCase.MeetsEngineDefect(KernelCase.Layer(GoldenFile.Load(o.File)[o.Id], o.Engine, VersionOf(o.File), compat: false))).Select(o => new TheoryDataRow<string, string, string>(o.File, o.Id, o.Engine))];

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

    private static void Check(string file, string id, string engine, bool compat)
    {
        JsonElement c = GoldenFile.Load(file)[id];
        QuantizedTensor y = KernelCase.Run(c, KernelCase.Layer(c, engine, VersionOf(file), compat));
        Assert.Equal(c.GetProperty("y_sh").Ints(), y.Shape);
        Assert.Equal(c.GetProperty("y").GetProperty(engine).GetBytesFromBase64(), (byte[])y.IntRepr());
    }

    private static TorchVersion VersionOf(string file) => file == Torch113 ? TorchVersion.V1_13 : TorchVersion.V2;
}
