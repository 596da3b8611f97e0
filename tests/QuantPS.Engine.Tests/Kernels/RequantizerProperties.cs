using CsCheck;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Numerics.Engines;
using QuantPS.Engine.Numerics.Requantization;

namespace QuantPS.Engine.Tests.Kernels;

/// <summary>What holds for the requantization of every engine, whatever the scales.</summary>
public class RequantizerProperties
{
    private static readonly Gen<EngineKind> Engine = Gen.Int[0, 3].Select(i => new[] { EngineKind.Fbgemm, EngineKind.Qnnpack, EngineKind.OneDnn, EngineKind.OnnxRuntime }[i]);

    // Products of scales and accumulators stay below 2^31 output steps: beyond, FBGEMM and QNNPACK overflow to the minimum by design.
    private static readonly Gen<RequantizationSpec> Spec = Gen.Select(Gen.Float[1e-3f, 1f], Gen.Float[1e-4f, 0.1f], Gen.Float[1e-2f, 10f], Gen.Int[0, 255], Gen.Select(Gen.Bool, Gen.Float[-100f, 100f]))
        .Select((sx, sw, sy, zero, more) => new RequantizationSpec
        {
            InputScale = sx,
            WeightScales = [sw],
            PerChannelWeight = true,
            Bias = [more.Item2],
            OutputChannels = 1,
            OutputScale = sy,
            OutputZeroPoint = zero,
            OutputMin = 0,
            OutputMax = 255,
            Relu = more.Item1,
        });

    private static readonly Gen<int> Accumulator = Gen.Int[-10_000_000, 10_000_000];

    [Fact]
    public void IsMonotonicInTheAccumulator() =>
        Gen.Select(Engine, Spec, Accumulator, Accumulator).Holds((engine, spec, a, b) =>
        {
            Requantizer r = EngineProfiles.Get(engine).CreateRequantizer(spec);
            return r.Apply(Math.Min(a, b), 0) <= r.Apply(Math.Max(a, b), 0);
        });

    [Fact]
    public void StaysInTheRangeAndAboveTheZeroPointBehindARelu() =>
        Gen.Select(Engine, Spec, Accumulator).Holds((engine, spec, a) =>
        {
            int y = EngineProfiles.Get(engine).CreateRequantizer(spec).Apply(a, 0);
            return y >= (spec.Relu ? spec.OutputZeroPoint : 0) && y <= 255;
        });

    [Fact]
    public void IsWithinOneStepOfTheExactValue() =>
        Gen.Select(Engine, Spec, Accumulator).Holds((engine, spec, a) =>
        {
            double step = (double)spec.InputScale * spec.WeightScales[0];
            double exact = (a * step + spec.Bias![0]) / spec.OutputScale + spec.OutputZeroPoint;
            double clamped = Math.Clamp(exact, spec.Relu ? spec.OutputZeroPoint : 0, 255);
            // Half a step of rounding, and half an accumulator step where the bias is an integer.
            return Math.Abs(EngineProfiles.Get(engine).CreateRequantizer(spec).Apply(a, 0) - clamped) <= 0.51 + 0.5 * step / spec.OutputScale;
        });
}
