using QuantPS.Engine.Errors;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Tests.Layers;

/// <summary>What the goldens do not show: what is refused, and what does not come from PyTorch.</summary>
public class OperatorTests
{
    private static readonly QParams Half = new(0.5f, 3, QDType.QUInt8);

    private static QuantizedTensor Ramp(QParams p, params int[] shape) =>
        QuantizedTensor.FromIntegers([.. Enumerable.Range(0, TensorShape.Count(shape)).Select(i => i * 7 % 120)], shape, p);

    private static void Refused(string id, Action act) => Assert.Equal(id, Assert.Throws<QuantException>(act).ErrorId);

    [Fact]
    public void Shapes_that_do_not_broadcast_are_refused()
    {
        Refused(ErrorIds.ShapeMismatch, () => new QuantizedAdd(Half, Half, Half).Run(Ramp(Half, 2, 3), Ramp(Half, 2, 4)));
        Refused(ErrorIds.ShapeMismatch, () => new QuantizedMul(Half).Run(Ramp(Half, 2, 3), Ramp(Half, 2)));
        Refused(ErrorIds.ShapeMismatch, () => new QuantizedConcat(Half).Run(Ramp(Half, 2, 3, 4), Ramp(Half, 2, 3, 5)));
    }

    [Fact]
    public void Either_operand_broadcasts()
    {
        QuantizedTensor big = Ramp(Half, 2, 3, 4), row = Ramp(Half, 4), column = Ramp(Half, 3, 1);
        var add = new QuantizedAdd(Half, Half, new QParams(1f, 0, QDType.QUInt8));
        QuantizedTensor sum = add.Run(row, big);
        Assert.Equal([2, 3, 4], sum.Shape);
        Assert.Equal((byte[])add.Run(big, row).IntRepr(), (byte[])sum.IntRepr());
        Assert.Equal([3, 4], add.Run(row, column).Shape);
        Assert.Equal((byte)Math.Clamp(Math.Round((row[2] - 3 + column[1, 0] - 3) * 0.5), 0, 255), add.Run(row, column)[1, 2]);
    }

    [Fact]
    public void Mixed_dtypes_are_refused() =>
        Refused(ErrorIds.UnsupportedDType, () => new QuantizedAdd(Half, Half, Half).Run(Ramp(Half, 4), Ramp(new QParams(0.5f, 3, QDType.QInt8), 4)));

    [Fact]
    public void Qnnpack_refuses_ratios_beyond_its_fixed_point()
    {
        var small = new QParams(0.5f / 40000, 0, QDType.QUInt8);
        Refused(ErrorIds.InvalidRequantizationScale, () => new QuantizedAdd(Half, small, Half, EngineKind.Qnnpack));
        _ = new QuantizedAdd(Half, small, Half, EngineKind.Fbgemm);
    }

    [Fact]
    public void Onnx_rule_divides()
    {
        // With twice the scale every odd integer is a tie, which dividing and multiplying by the reciprocal see differently for some scales.
        int differing = 0;
        for (int k = 1; k < 400; k++)
        {
            var input = new QParams(k / 1000f, 0, QDType.QUInt8);
            var output = new QParams(2f * (k / 1000f), 0, QDType.QUInt8);
            // Of different dtypes, for which ONNX Runtime has no sum of its own.
            var signed = new QParams(k / 1000f, 0, QDType.QInt8);
            QuantizedTensor x = Ramp(input, 120);
            var onnx = (byte[])new QuantizedAdd(input, signed, output, onnxRule: true).Run(x, QuantizedTensor.FromIntegers([0], [1], signed)).IntRepr();
            Assert.Equal((byte[])Quantizer.Quantize(x.Dequantize(), output, onnxRule: true).IntRepr(), onnx);
            differing += ((byte[])new QuantizedAdd(input, input, output).Run(x, QuantizedTensor.FromIntegers([0], [1], input)).IntRepr()).SequenceEqual(onnx) ? 0 : 1;
        }
        Assert.InRange(differing, 1, 399);
    }

    [Fact]
    public void The_tensors_own_parameters_count()
    {
        QParams other = new(0.25f, 100, QDType.QUInt8), output = new(0.1f, 10, QDType.QUInt8);
        QuantizedTensor x = Ramp(other, 100);
        Assert.Equal((byte[])new QuantizedHardSwish(other, output).Run(x).IntRepr(), (byte[])new QuantizedHardSwish(Half, output).Run(x).IntRepr());
        Assert.Equal(other.ZeroPoints[0], new QuantizedRelu(Half).Run(x).QParams.ZeroPoints[0]);
    }

    [Fact]
    public void Transposed_convolutions_refuse_what_the_engines_refuse()
    {
        var perChannel = new QuantizedTensor([2, 3, 2, 2], new byte[24], new QParams([1f, 1f, 1f], [0, 0, 0], QDType.QInt8, QScheme.PerChannelSymmetric, 1));
        var perTensor = new QuantizedTensor([2, 3, 2, 2], new byte[24], new QParams(1f, 0, QDType.QInt8));
        Refused(ErrorIds.UnsupportedScheme, () => new QuantizedConvTranspose(perChannel, null, new ConvTransposeGeometry([2, 2]), Half, Half, EngineKind.Fbgemm));
        Refused(ErrorIds.UnsupportedScheme, () => new QuantizedConvTranspose(perChannel, null, new ConvTransposeGeometry([2, 2], groups: 2), Half, Half, EngineKind.Qnnpack));
        Assert.Equal(3, new QuantizedConvTranspose(perChannel, null, new ConvTransposeGeometry([2, 2]), Half, Half, EngineKind.Qnnpack).OutputChannels);
        var padded = new ConvTransposeGeometry([2, 2], [2], outputPadding: [1]);
        Refused(ErrorIds.UnsupportedOperator, () => new QuantizedConvTranspose(perTensor, null, padded, Half, Half, EngineKind.OneDnn));
        Assert.Equal(EngineKind.Fbgemm, new QuantizedConvTranspose(perTensor, null, padded, Half, Half).EffectiveEngine);
        Assert.Equal(EngineKind.OneDnn, new QuantizedConvTranspose(perTensor, null, new ConvTransposeGeometry([2, 2]), Half, Half).EffectiveEngine);
    }

    [Fact]
    public void Trace_follows_reflection_padding()
    {
        var rng = new Random(5);
        QuantizedTensor w = QuantizedTensor.FromIntegers([.. Enumerable.Range(0, 54).Select(_ => rng.Next(-128, 128))], [2, 3, 3, 3], new QParams(0.02f, 0, QDType.QInt8));
        var conv = new QuantizedConv(w, [1f, -1f], new ConvGeometry([3, 3], padBegin: [2]) { Reflect = true }, Half, new QParams(0.9f, 60, QDType.QUInt8));
        QuantizedTensor x = Ramp(Half, 1, 3, 5, 4), y = conv.Run(x);
        for (int i = 0; i < y.Length; i++)
            Assert.Equal(y.GetInteger(i), conv.Trace(x, TensorShape.Index(y.Dims, i)).Output);
        Refused(ErrorIds.ShapeMismatch, () => conv.Run(Ramp(Half, 1, 3, 2, 4)));
    }

    [Fact]
    public void Requantizing_is_dequantizing_and_quantizing()
    {
        var output = new QParams([0.3f, 0.7f], [1, -5], QDType.QInt8, QScheme.PerChannelAffine, 0);
        QuantizedTensor x = Ramp(Half, 2, 30);
        Assert.Equal((sbyte[])Quantizer.Quantize(x.Dequantize(), output).IntRepr(), (sbyte[])new QuantizedRequantize(output).Run(x).IntRepr());
    }

    [Fact]
    public void Sleef_functions_keep_their_limits()
    {
        Assert.Equal(0f, SleefMath.Exp(-105f));
        Assert.Equal(float.PositiveInfinity, SleefMath.Exp(101f));
        Assert.Equal(1f, SleefMath.Exp(0f));
        Assert.Equal(-1f, SleefMath.Tanh(-9f));
        Assert.Equal(-1f, SleefMath.ExpM1(-17f));
        Assert.True(float.IsNaN(SleefMath.Tanh(float.NaN)) && float.IsNaN(SleefMath.Exp(float.NaN)) && float.IsNaN(SleefMath.ExpM1(float.NaN)));
        for (float v = -20f; v < 20f; v += 0.137f)
        {
            Assert.Equal(Math.Exp(v), SleefMath.Exp(v), Math.Exp(v) * 2e-7);
            Assert.Equal(Math.Tanh(v), SleefMath.Tanh(v), 1e-7);
        }
    }
}
