using CsCheck;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Tests.Numerics;

/// <summary>What holds for all ranges and values.</summary>
public class QuantizerProperties
{
    private static readonly Gen<float> Value = Gen.Float[-1e6f, 1e6f];
    private static readonly Gen<(float Min, float Max)> Interval = Gen.Select(Value, Value, (a, b) => (MathF.Min(a, b), MathF.Max(a, b)));
    private static readonly Gen<QDType> EightBits = Gen.Bool.Select(first => first ? QDType.QUInt8 : QDType.QInt8);
    private static readonly Gen<QScheme> PerTensor = Gen.Bool.Select(first => first ? QScheme.PerTensorAffine : QScheme.PerTensorSymmetric);

    private static QParams Calculate((float Min, float Max) r, QDType dtype, QScheme scheme, bool reduce = false) =>
        QParamsCalculator.Calculate([r.Min], [r.Max], dtype, scheme, QuantRange.Create(dtype, reduce), ObserverSpec.DefaultEps);

    [Fact]
    public void ScaleIsAtLeastEpsAndTheZeroPointLiesInTheRange() =>
        Gen.Select(Interval, EightBits, PerTensor, Gen.Bool).Holds((r, dtype, scheme, reduce) =>
        {
            reduce &= scheme == QScheme.PerTensorAffine;
            QParams p = Calculate(r, dtype, scheme, reduce);
            QuantRange range = QuantRange.Create(dtype, reduce);
            return p.Scales[0] >= ObserverSpec.DefaultEps && p.ZeroPoints[0] >= range.Min && p.ZeroPoints[0] <= range.Max;
        });

    [Fact]
    public void ZeroIsRepresentable() =>
        Gen.Select(Interval, EightBits, PerTensor).Holds((r, dtype, scheme) =>
        {
            QuantizedTensor q = Quantizer.Quantize(new Tensor([1], new[] { 0f }), Calculate(r, dtype, scheme));
            return q.GetInteger(0) == q.QParams.ZeroPoints[0] && q.Dequantize().Span[0] == 0f;
        });

    [Fact]
    public void QuantizingAgainChangesNothing() =>
        Gen.Select(Interval, EightBits, PerTensor, Value.Array[1, 40]).Holds((r, dtype, scheme, x) =>
        {
            QuantizedTensor q = Quantizer.Quantize(new Tensor([x.Length], x), Calculate(r, dtype, scheme));
            return Quantizer.Quantize(q.Dequantize(), q.QParams).Bytes.SequenceEqual(q.Bytes);
        });

    [Fact]
    public void QuantizingAgainChangesNothingForAnyInteger() =>
        Gen.Select(Gen.Float[1e-7f, 1e4f], EightBits, Gen.Byte).Holds((scale, dtype, zp) =>
        {
            int zeroPoint = dtype == QDType.QUInt8 ? zp : zp - 128;
            byte[] all = [.. Enumerable.Range(0, 256).Select(i => (byte)i)];
            QuantizedTensor q = new([256], all, new QParams(scale, zeroPoint, dtype));
            return Quantizer.Quantize(q.Dequantize(), q.QParams).Bytes.SequenceEqual(q.Bytes);
        });

    [Fact]
    public void QuantizationIsMonotonic() =>
        Gen.Select(Interval, EightBits, PerTensor, Value.Array[2, 40]).Holds((r, dtype, scheme, x) =>
        {
            float[] ascending = [.. x.Order()];
            QuantizedTensor q = Quantizer.Quantize(new Tensor([x.Length], ascending), Calculate(r, dtype, scheme));
            return Enumerable.Range(1, x.Length - 1).All(i => q.GetInteger(i - 1) <= q.GetInteger(i));
        });

    [Fact]
    public void ValuesInTheRangeComeBackWithinHalfAStep() =>
        Gen.Select(Interval, EightBits, Gen.Double[0, 1]).Holds((r, dtype, at) =>
        {
            float low = MathF.Min(r.Min, 0), high = MathF.Max(r.Max, 0);
            float x = Math.Clamp((float)(low + at * ((double)high - low)), low, high);
            QParams p = Calculate(r, dtype, QScheme.PerTensorAffine);
            float back = Quantizer.Quantize(new Tensor([1], new[] { x }), p).Dequantize().Span[0];
            // Half a step for the value, half for the zero point at the ends of the range, and float32's own rounding.
            return MathF.Abs(back - x) <= 1.001f * p.Scales[0];
        });

    [Fact]
    public void OrderIsKept() =>
        Gen.Select(Interval, EightBits, PerTensor, Value, Value).Holds((r, dtype, scheme, a, b) =>
        {
            QuantizedTensor q = Quantizer.Quantize(new Tensor([2], new[] { MathF.Min(a, b), MathF.Max(a, b) }), Calculate(r, dtype, scheme));
            return q.GetInteger(0) <= q.GetInteger(1);
        });

    [Fact]
    public void NanAndBigValuesSaturate() =>
        Gen.Select(Gen.Float[1e-7f, 1e4f], EightBits).Holds((scale, dtype) =>
        {
            (int min, int max) = dtype.Range();
            QuantizedTensor q = Quantizer.Quantize(new Tensor([3], new[] { float.NaN, float.PositiveInfinity, float.NegativeInfinity }), new QParams(scale, 0, dtype));
            return q.GetInteger(0) == min && q.GetInteger(1) == max && q.GetInteger(2) == min;
        });
}
