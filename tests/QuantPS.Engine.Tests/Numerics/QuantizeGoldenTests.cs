using System.Text.Json;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Engine.Tests.Golden;
using QuantPS.Engine.Tests.Observers;

namespace QuantPS.Engine.Tests.Numerics;

/// <summary>quantize and dequantize against PyTorch 1.13 and libtorch 2.10.</summary>
public class QuantizeGoldenTests
{
    private const string Old = "quantize_torch113.json";
    private const string New = "quantize_libtorch210.json";

    public static TheoryData<string> OldIds => GoldenFile.Ids(Old);

    public static TheoryData<string> NewIds => GoldenFile.Ids(New);

    private static int[] Integers(QuantizedTensor t) => [.. Enumerable.Range(0, t.Length).Select(t.GetInteger)];

    [Theory, MemberData(nameof(OldIds))]
    public void CompatibilityKernelIsTorch113(string id)
    {
        JsonElement c = GoldenFile.Load(Old)[id];
        AssertCompat(QuantizeCompat.Torch113, c.GetProperty("x").Tensor(), Parameters(c), c.GetProperty("q"));
        Assert.Equal(c.GetProperty("q").Integers(), Integers(QuantizeCompatKernels.Quantize(c.GetProperty("x").Tensor(), Parameters(c), TorchVersion.V1_13)));
    }

    [Theory, MemberData(nameof(OldIds))]
    public void QuantizerIsTorch113OnOrdinaryValues(string id)
    {
        JsonElement c = GoldenFile.Load(Old)[id];
        AssertQuantizer(c.GetProperty("x").Tensor(), Parameters(c), c.GetProperty("q"));
    }

    [Theory, MemberData(nameof(OldIds))]
    public void DequantizeIsTorch113(string id)
    {
        JsonElement c = GoldenFile.Load(Old)[id];
        AssertDequantize(c.GetProperty("q"), Parameters(c), c.GetProperty("dq"));
    }

    [Theory, MemberData(nameof(NewIds))]
    public void CompatibilityKernelsAreTorch2(string id)
    {
        JsonElement c = GoldenFile.Load(New)[id];
        Assert.Equal(c.GetProperty("q_per_tensor").Integers(), Integers(QuantizeCompatKernels.Quantize(c.GetProperty("x").Tensor(), Parameters(c), TorchVersion.V2)));
        AssertCompat(QuantizeCompat.Torch2PerTensor, c.GetProperty("x").Tensor(), Parameters(c), c.GetProperty("q_per_tensor"));
        AssertCompat(QuantizeCompat.Torch2PerChannel, c.GetProperty("x").Tensor(), Parameters(c), c.GetProperty("q_per_channel"));
    }

    [Theory, MemberData(nameof(NewIds))]
    public void QuantizerIsTorch2OnOrdinaryValues(string id)
    {
        JsonElement c = GoldenFile.Load(New)[id];
        AssertQuantizer(c.GetProperty("x").Tensor(), Parameters(c), c.GetProperty("q_per_tensor"));
        AssertQuantizer(c.GetProperty("x").Tensor(), Parameters(c), c.GetProperty("q_per_channel"));
    }

    [Theory, MemberData(nameof(NewIds))]
    public void DequantizeIsTorch2(string id)
    {
        JsonElement c = GoldenFile.Load(New)[id];
        AssertDequantize(c.GetProperty("q_per_tensor"), Parameters(c), c.GetProperty("dq"));
    }

    private static QParams Parameters(JsonElement c)
    {
        QDType dtype = Enum.GetValues<QDType>().Single(d => d.TorchName() == c.GetProperty("dtype").GetString());
        return c.IsMissing("axis")
            ? new QParams(c.GetProperty("scale").Single(), c.GetProperty("zp").GetInt32(), dtype)
            : new QParams(c.GetProperty("scale").Singles(), c.GetProperty("zp").Ints(), dtype, QScheme.PerChannelAffine, c.GetProperty("axis").GetInt32());
    }

    /// <summary>The channel of every element, row-major; 0 per tensor.</summary>
    private static int[] Channels(ReadOnlySpan<int> shape, QParams p)
    {
        (_, int channels, int inner) = p.IsPerChannel ? TensorShape.Split(shape, p.Axis) : (1, 1, TensorShape.Count(shape));
        return [.. Enumerable.Range(0, TensorShape.Count(shape)).Select(i => i / inner % channels)];
    }

    private static void AssertCompat(QuantizeCompat kernel, Tensor x, QParams p, JsonElement expected)
    {
        int[] channels = Channels(x.Dims, p);
        int[] actual = [.. Enumerable.Range(0, x.Length).Select(i => QuantizeCompatKernels.Quantize(kernel, x.Span[i], p.Scales[channels[i]], p.ZeroPoints[channels[i]], p.DType))];
        Assert.Equal(expected.Integers(), actual);
    }

    /// <summary>All elements that are finite and stay below 2^31 steps: there every kernel of PyTorch agrees.</summary>
    private static void AssertQuantizer(Tensor x, QParams p, JsonElement expected)
    {
        QuantizedTensor q = Quantizer.Quantize(x, p);
        int[] channels = Channels(x.Dims, p);
        int[] all = expected.Integers();
        int[] ordinary = [.. Enumerable.Range(0, x.Length).Where(i => MathF.Abs(x.Span[i] / p.Scales[channels[i]]) < 2147483648f)];
        Assert.NotEmpty(ordinary);
        Assert.Equal(ordinary.Select(i => all[i]), ordinary.Select(q.GetInteger));
    }

    private static void AssertDequantize(JsonElement integers, QParams p, JsonElement expected)
    {
        QuantizedTensor q = QuantizedTensor.FromIntegers(integers.Integers(), integers.Shape(), p);
        ObserverGolden.AssertBits(expected.Elements<float>(), q.Dequantize().Span);
    }
}
