using CsCheck;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Tests.Numerics;

/// <summary>The types of 16 and 4 bits: storage, packing, quantizing.</summary>
public class StorageTypeTests
{
    public static TheoryData<QDType> All => [.. Enum.GetValues<QDType>()];

    [Theory]
    [InlineData(QDType.QInt16, -32768, 32767, "int16", typeof(short[]))]
    [InlineData(QDType.QUInt16, 0, 65535, "uint16", typeof(ushort[]))]
    [InlineData(QDType.QInt4, -8, 7, "int4", typeof(sbyte[]))]
    [InlineData(QDType.QUInt4, 0, 15, "quint4x2", typeof(byte[]))]
    [InlineData(QDType.QUInt8, 0, 255, "quint8", typeof(byte[]))]
    [InlineData(QDType.QInt8, -128, 127, "qint8", typeof(sbyte[]))]
    [InlineData(QDType.QInt32, int.MinValue, int.MaxValue, "qint32", typeof(int[]))]
    public void RangeNameAndArray(QDType dtype, int min, int max, string name, Type array)
    {
        Assert.Equal((min, max), dtype.Range());
        Assert.Equal(name, dtype.TorchName());
        QuantizedTensor t = QuantizedTensor.FromIntegers([min, max, 0], [3], new QParams(1f, 0, dtype));
        Assert.IsType(array, t.IntRepr());
        Assert.Equal(new long[] { min, max, 0 }, t.IntRepr().Cast<object>().Select(Convert.ToInt64));
        Assert.Equal((min, max), (t[0], t[1]));
        Assert.Equal(ErrorIds.InvalidArgument, dtype == QDType.QInt32 ? ErrorIds.InvalidArgument
            : Assert.Throws<QuantException>(() => QuantizedTensor.FromIntegers([max + 1], [1], new QParams(1f, 0, dtype))).ErrorId);
    }

    [Fact]
    public void FourBitsLieLowFirstAndRowsAreNotPadded()
    {
        QuantizedTensor t = QuantizedTensor.FromIntegers([-8, 7, -1, 3, 1, -2, 5, 0, 2], [3, 3], new QParams(1f, 0, QDType.QInt4));
        Assert.Equal([0x78, 0x3F, 0xE1, 0x05, 0x02], t.Bytes.ToArray());
        Assert.Equal(9, t.Length);
        Assert.Equal(-2, t[1, 2]);
        Assert.Equal([0x2F], QuantizedTensor.FromIntegers([15, 2], [2], new QParams(1f, 0, QDType.QUInt4)).Bytes.ToArray());
        Assert.Equal(9, t.Reshape(9).Length);
        Assert.Equal(ErrorIds.ShapeMismatch, Assert.Throws<QuantException>(() => new QuantizedTensor([3, 3], new byte[4], t.QParams)).ErrorId);
        Assert.Equal(0, QuantizedTensor.Allocate([0, 5], t.QParams).Length);
    }

    [Fact]
    public void EveryIntegerSurvives() =>
        Gen.Select(Gen.Int[0, 6], Gen.Int[1, 40], Gen.Int).Holds((which, count, seed) =>
        {
            QDType dtype = Enum.GetValues<QDType>()[which];
            (int min, int max) = dtype.Range();
            Random rng = new(seed);
            int[] integers = [.. Enumerable.Range(0, count).Select(_ => (int)rng.NextInt64(min, max + 1L))];
            QuantizedTensor t = QuantizedTensor.FromIntegers(integers, [count], new QParams(1f, 0, dtype));
            return t.Bytes.Length == dtype.ByteCount(count) && integers.Select((v, i) => v == t.GetInteger(i)).All(same => same);
        });

    [Theory, MemberData(nameof(All))]
    public void QuantizingIsTheScalarRulePerTensorAndPerChannel(QDType dtype)
    {
        Random rng = new(11);
        (int min, int max) = dtype.Range();
        int zeroPoint = dtype == QDType.QInt32 ? 5 : min + (max - min) / 3;
        Tensor x = new([3, 5], Enumerable.Range(0, 15).Select(_ => (rng.NextSingle() - 0.5f) * Math.Min(max, 1e6f) * 0.3f).ToArray());
        foreach (bool onnx in new[] { false, true })
        {
            QuantizedTensor q = Quantizer.Quantize(x, new QParams(0.1f, zeroPoint, dtype), onnx);
            QuantizedTensor c = Quantizer.Quantize(x, new QParams([0.1f, 0.2f, 0.3f], [zeroPoint, zeroPoint, zeroPoint], dtype, QScheme.PerChannelAffine, 0), onnx);
            for (int i = 0; i < x.Length; i++)
            {
                float scale = new[] { 0.1f, 0.2f, 0.3f }[i / 5];
                Assert.Equal(Rule(x.Span[i], 0.1f), q.GetInteger(i));
                Assert.Equal(Rule(x.Span[i], scale), c.GetInteger(i));
                Assert.Equal(Quantizer.Dequantize(c.GetInteger(i), scale, zeroPoint), c.Dequantize().Span[i]);
            }

            int Rule(float v, float s) => onnx ? Quantizer.QuantizeOnnx(v, s, zeroPoint, min, max) : Quantizer.QuantizeTorch(v, 1f / s, zeroPoint, min, max);
        }
    }

    [Theory]
    [InlineData(QDType.QUInt16, 32768)]
    [InlineData(QDType.QInt16, 0)]
    [InlineData(QDType.QInt4, 0)]
    [InlineData(QDType.QUInt4, 0)]
    [InlineData(QDType.QUInt8, 128)]
    public void SymmetricZeroPointsArePyTorchs(QDType dtype, int zeroPoint)
    {
        Observer o = new ObserverSpec { DType = dtype, Scheme = QScheme.PerTensorSymmetric }.Create();
        o.Observe(new Tensor([2], new float[] { -1, 3 }));
        Assert.Equal(zeroPoint, o.CalculateQParams().ZeroPoints[0]);
    }

    [Theory]
    [InlineData(QDType.QInt16)]
    [InlineData(QDType.QUInt16)]
    [InlineData(QDType.QInt4)]
    [InlineData(QDType.QUInt4)]
    public void LayersRefuseThem(QDType dtype)
    {
        QParams eight = new(1f, 0, QDType.QUInt8), other = new(1f, 0, dtype);
        QuantizedTensor weight = QuantizedTensor.Allocate([2, 3], new QParams(1f, 0, QDType.QInt8));
        Assert.Equal(ErrorIds.UnsupportedDType, Refusal(QuantizedTensor.Allocate([2, 3], other), eight, eight));
        Assert.Equal(ErrorIds.UnsupportedDType, Refusal(weight, other, eight));
        Assert.Equal(ErrorIds.UnsupportedDType, Refusal(weight, eight, other));
    }

    [Fact]
    public void LayersRefuseFloatZeroPoints()
    {
        QParams eight = new(1f, 0, QDType.QUInt8);
        QParams weight = new([1f, 1f], [0, 0], QDType.QInt8, QScheme.PerChannelAffineFloatQParams, 0, [0.5f, 0f]);
        Assert.Equal(ErrorIds.UnsupportedScheme, Refusal(QuantizedTensor.Allocate([2, 3], weight), eight, eight));
    }

    private static string Refusal(QuantizedTensor weight, QParams input, QParams output) =>
        Assert.Throws<QuantException>(() => new QuantizedLinear(weight, null, input, output, EngineKind.Fbgemm)).ErrorId;
}
