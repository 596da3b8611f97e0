using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Tests.Layers;

/// <summary>What each engine makes of a bias: accumulator 0 and a combined scale of one step, as run on the real engines (libtorch 2.10).</summary>
public class BiasProbeTests
{
    // A power of two, so that input scale x weight scale is exact and one bias unit is one accumulator step.
    private const float InputScale = 0.5f, WeightScale = 0.25f, Step = InputScale * WeightScale;

    [Theory]
    // Bias of 0.4 steps: QNNPACK rounds it to 0, the others keep the fraction.
    [InlineData(0.4f, 0.01f, 3, EngineKind.Fbgemm, 40)]
    [InlineData(0.4f, 0.01f, 3, EngineKind.OneDnn, 40)]
    [InlineData(0.4f, 0.01f, 3, EngineKind.Qnnpack, 0)]
    // Ties go to the even integer: 2.5 becomes 2, 3.5 becomes 4.
    [InlineData(2.5f, 0.02f, 3, EngineKind.Fbgemm, 125)]
    [InlineData(2.5f, 0.02f, 3, EngineKind.OneDnn, 125)]
    [InlineData(2.5f, 0.02f, 3, EngineKind.Qnnpack, 100)]
    [InlineData(3.5f, 0.02f, 3, EngineKind.Fbgemm, 175)]
    [InlineData(3.5f, 0.02f, 3, EngineKind.OneDnn, 175)]
    [InlineData(3.5f, 0.02f, 3, EngineKind.Qnnpack, 200)]
    // 4.2e9 steps do not fit int32. General convolutions of the real QNNPACK flip the saturated bias (packed through a float).
    [InlineData(4.2e9f, 2.1e7f, 3, EngineKind.Fbgemm, 200)]
    [InlineData(4.2e9f, 2.1e7f, 3, EngineKind.OneDnn, 200)]
    [InlineData(4.2e9f, 2.1e7f, 3, EngineKind.Qnnpack, 0)]
    [InlineData(4.2e9f, 2.1e7f, 1, EngineKind.Fbgemm, 200)]
    [InlineData(4.2e9f, 2.1e7f, 1, EngineKind.OneDnn, 200)]
    [InlineData(4.2e9f, 2.1e7f, 1, EngineKind.Qnnpack, 102)]
    // 5e9 output steps: cvtps2dq overflows to INT32_MIN in FBGEMM and QNNPACK; oneDNN clamps first.
    [InlineData(5e9f, 1f, 3, EngineKind.Fbgemm, 0)]
    [InlineData(5e9f, 1f, 3, EngineKind.OneDnn, 255)]
    [InlineData(5e9f, 1f, 3, EngineKind.Qnnpack, 0)]
    public void Table_of_probes(float biasSteps, float outputSteps, int kernel, EngineKind engine, int expected) =>
        Assert.Equal(expected, Run(biasSteps, outputSteps, kernel, engine, compat: true));

    [Fact]
    public void Without_compat_a_saturated_qnnpack_bias_stays_at_the_limit() =>
        Assert.Equal(102, Run(4.2e9f, 2.1e7f, 3, EngineKind.Qnnpack, compat: false));

    [Fact]
    public void Bias_that_is_half_of_int32_is_visible()
    {
        QuantizedConv conv = Conv(1069547456.748f, 1e7f, 3, EngineKind.Qnnpack, compat: false);
        Assert.Equal([1069547456], conv.QuantizedBias!);
        Assert.Equal(int.MaxValue / 1069547456.0, conv.BiasHeadroom[0], 1e-12);
        Assert.Equal([(double)Step], conv.BiasScale);
    }

    [Theory]
    [InlineData(EngineKind.Fbgemm)]
    [InlineData(EngineKind.OneDnn)]
    [InlineData(EngineKind.X86)]
    public void Engines_that_keep_a_float_bias_have_no_integer_one(EngineKind engine) => Assert.Null(Conv(2.5f, 1f, 3, engine, false).QuantizedBias);

    [Theory]
    [InlineData(EngineKind.Fbgemm)]
    [InlineData(EngineKind.OneDnn)]
    [InlineData(EngineKind.Qnnpack)]
    [InlineData(EngineKind.OnnxRuntime)]
    public void Trace_ends_at_the_output(EngineKind engine)
    {
        var random = new Random(3);
        var weight = QuantizedTensor.FromIntegers([.. Enumerable.Range(0, 4 * 3 * 9).Select(_ => random.Next(-128, 128))], [4, 3, 3, 3], new QParams(0.01f, 0, QDType.QInt8));
        var conv = new QuantizedConv(weight, [1.5f, -2f, 0.3f, 0f], new ConvGeometry([3, 3], padBegin: [1, 1]), new QParams(0.02f, 7, QDType.QUInt8), new QParams(0.05f, 100, QDType.QUInt8), engine);
        var x = QuantizedTensor.FromIntegers([.. Enumerable.Range(0, 2 * 3 * 25).Select(_ => random.Next(0, 256))], [2, 3, 5, 5], conv.InputQParams);
        QuantizedTensor y = conv.Run(x);
        for (int i = 0; i < y.Length; i++)
        {
            int[] at = [i / 100, i / 25 % 4, i / 5 % 5, i % 5];
            Assert.Equal(y.GetInteger(i), conv.Trace(x, at).Output);
        }
    }

    private static int Run(float biasSteps, float outputSteps, int kernel, EngineKind engine, bool compat)
    {
        QuantizedConv conv = Conv(biasSteps, outputSteps, kernel, engine, compat);
        var x = QuantizedTensor.FromIntegers(new int[9], [1, 1, 3, 3], conv.InputQParams);
        return conv.Run(x).GetInteger(0);
    }

    private static QuantizedConv Conv(float biasSteps, float outputSteps, int kernel, EngineKind engine, bool compat) => new(
        QuantizedTensor.FromIntegers(new int[kernel * kernel], [1, 1, kernel, kernel], new QParams(WeightScale, 0, QDType.QInt8)),
        [biasSteps * Step],
        new ConvGeometry([kernel, kernel]),
        new QParams(InputScale, 0, QDType.QUInt8),
        new QParams(outputSteps * Step, 0, QDType.QUInt8),
        engine,
        new LayerOptions { Compat = compat });
}
