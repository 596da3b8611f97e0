using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Observers;

/// <summary>Parameters that are known beforehand, whatever passes: 1/256 and 0 for what lies in 0..1, 2/256 and 128 for -1..1.</summary>
/// <remarks>Source: torch/ao/quantization/observer.py FixedQParamsObserver. The scale is rounded to float32. Merging is exact, in any
/// order.</remarks>
public sealed class FixedQParamsObserver : UnrangedObserver
{
    private readonly QParams qparams;

    /// <exception cref="QuantException">InvalidArgument: no scale or no zero point. InvalidScale, ZeroPointOutOfRange. UnsupportedScheme: per
    /// channel.</exception>
    public FixedQParamsObserver(ObserverSpec spec) : base(spec)
    {
        RangeObserver.CheckScheme(spec, perChannel: false);
        if (spec.Scale is not float scale || spec.ZeroPoint is not int zeroPoint)
            throw new QuantException(ErrorIds.InvalidArgument,
                "FixedQParamsObserver needs a scale and a zero point: it observes neither.", spec);
        qparams = new QParams(scale, zeroPoint, spec.DType, spec.Scheme);
    }

    public override QParams CalculateQParams() => qparams;

    private protected override string Purpose => "its parameters were given, not observed.";
}
