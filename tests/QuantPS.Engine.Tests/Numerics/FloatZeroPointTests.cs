using System.Text.Json;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Engine.Tests.Golden;
using QuantPS.Engine.Tests.Observers;

namespace QuantPS.Engine.Tests.Numerics;

/// <summary>per_channel_affine_float_qparams against PyTorch 1.13.</summary>
public class FloatZeroPointTests
{
    private const string File = "float_qparams_torch113.json";

    public static TheoryData<string> Ids => GoldenFile.Ids(File);

    [Theory, MemberData(nameof(Ids))]
    public void QuantizeAndDequantizeAreTorchs(string id)
    {
        JsonElement c = GoldenFile.Load(File)[id];
        QDType dtype = Enum.GetValues<QDType>().Single(d => d.TorchName() == c.GetProperty("dtype").GetString());
        float[] scales = c.GetProperty("scale").Singles();
        QParams p = new(scales, new int[scales.Length], dtype, QScheme.PerChannelAffineFloatQParams, c.GetProperty("axis").GetInt32(), c.GetProperty("zp").Singles());
        QuantizedTensor q = Quantizer.Quantize(c.GetProperty("x").Tensor(), p);
        Assert.Equal(c.GetProperty("q").Integers(), Enumerable.Range(0, q.Length).Select(q.GetInteger));
        ObserverGolden.AssertBits(c.GetProperty("dq").Elements<float>(), q.Dequantize().Span);
    }

    [Fact]
    public void FloatZeroPointsBelongToTheirSchemeOnly()
    {
        Assert.Equal(ErrorIds.InvalidArgument, Assert.Throws<QuantException>(() => new QParams([1f], [0], QDType.QUInt8, QScheme.PerChannelAffineFloatQParams, 0)).ErrorId);
        Assert.Equal(ErrorIds.InvalidArgument, Assert.Throws<QuantException>(() => new QParams([1f], [0], QDType.QUInt8, QScheme.PerChannelAffine, 0, [0.5f])).ErrorId);
        Assert.Equal(ErrorIds.InvalidArgument, Assert.Throws<QuantException>(() => new QParams([1f], [0], QDType.QUInt8, QScheme.PerChannelAffineFloatQParams, 0, [0.5f, 1f])).ErrorId);
    }

    [Fact]
    public void OnnxHasNone()
    {
        QParams p = new([1f], [0], QDType.QUInt8, QScheme.PerChannelAffineFloatQParams, 0, [0.5f]);
        Assert.Equal(ErrorIds.UnsupportedScheme, Assert.Throws<QuantException>(() => Quantizer.Quantize(new Tensor(1, 2), p, onnxRule: true)).ErrorId);
        Assert.Equal(new float[] { 0.5f }, Assert.IsType<float[]>(p.ZeroPoint));
        Assert.False(p.HasZeroZeroPoints);
    }
}
