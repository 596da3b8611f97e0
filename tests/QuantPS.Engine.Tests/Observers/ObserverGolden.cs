using System.Text.Json;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;
using QuantPS.Engine.Tensors;
using QuantPS.Engine.Tests.Golden;

namespace QuantPS.Engine.Tests.Observers;

/// <summary>Makes observers from the arguments of a golden case and compares their parameters.</summary>
internal static class ObserverGolden
{
    public static ObserverSpec Spec(JsonElement args, ObserverKind kind, TorchVersion version) => new()
    {
        Kind = kind,
        TorchVersion = version,
        DType = Enum.GetValues<QDType>().Single(d => d.TorchName() == args.GetProperty("dtype").GetString()),
        Scheme = Enum.GetValues<QScheme>().Single(s => s.TorchName() == args.GetProperty("qscheme").GetString()),
        ReduceRange = args.GetProperty("reduce_range").GetBoolean(),
        QuantMin = args.IsMissing("quant_min") ? null : args.GetProperty("quant_min").GetInt32(),
        QuantMax = args.IsMissing("quant_max") ? null : args.GetProperty("quant_max").GetInt32(),
        AveragingConstant = args.IsMissing("averaging_constant") ? 0.01 : args.GetProperty("averaging_constant").GetDouble(),
        ChannelAxis = args.IsMissing("ch_axis") ? 0 : args.GetProperty("ch_axis").GetInt32(),
        Bins = args.IsMissing("bins") ? 2048 : args.GetProperty("bins").GetInt32(),
    };

    /// <summary>Observes a case's batches, and behind them the one that it gives as the outer sum of two vectors.</summary>
    public static Observer Observe(ObserverSpec spec, JsonElement golden)
    {
        Observer observer = spec.Create();
        foreach (JsonElement batch in golden.GetProperty("batches").EnumerateArray())
            observer.Observe(batch.Tensor());
        if (!golden.IsMissing("outer"))
        {
            float[] a = golden.GetProperty("outer")[0].Elements<float>(), b = golden.GetProperty("outer")[1].Elements<float>();
            observer.Observe(new Tensor([a.Length, b.Length], a.SelectMany(x => b.Select(y => x + y)).ToArray()));
        }
        return observer;
    }

    /// <summary>Scales by their bits, zero points by value. A zero point that the dtype cannot store (a custom range may do that) has to be refused.</summary>
    public static void AssertQParams(JsonElement golden, Observer observer)
    {
        ObserverSpec spec = observer.Spec;
        (float[] min, float[] max) = observer.SelectRange();
        (float[] scales, int[] zeroPoints, float[]? floats) = QParamsCalculator.CalculateRaw(min, max, spec.DType, spec.Scheme, observer.Range, spec.Eps);
        AssertBits(golden.GetProperty("scale").Singles(), scales);
        if (floats is not null)
            AssertBits(golden.GetProperty("zp").Singles(), floats);
        else
            Assert.Equal(golden.GetProperty("zp").Ints(), zeroPoints);

        (int low, int high) = spec.DType.Range();
        if (zeroPoints.Any(z => z < low || z > high))
        {
            Assert.Equal(Errors.ErrorIds.ZeroPointOutOfRange, Assert.Throws<Errors.QuantException>(observer.CalculateQParams).ErrorId);
            return;
        }
        QParams p = observer.CalculateQParams();
        AssertBits(scales, p.Scales);
        Assert.Equal(zeroPoints, p.ZeroPoints.ToArray());
        AssertBits(floats, p.FloatZeroPoints);
    }

    public static void AssertBits(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual) =>
        Assert.Equal(Array.ConvertAll(expected.ToArray(), BitConverter.SingleToUInt32Bits), Array.ConvertAll(actual.ToArray(), BitConverter.SingleToUInt32Bits));
}
