using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;
using QuantPS.Engine.Tensors;

namespace QuantPS.Onnx.Quantization;

/// <summary>Scale and zero point from statistics, by the engine's own rule.</summary>
/// <param name="Backend">ONNX Runtime's tool has a rule of its own; all others have PyTorch's.</param>
/// <param name="MinimumRealRange">Smallest distance between the ends of a range, or null.</param>
internal sealed record ParameterRules(EngineKind Backend, float? MinimumRealRange)
{
    /// <summary>Scales and roundings of weights per channel are those that lose least (<see cref="WeightScales"/>, <see cref="WeightRounding"/>).</summary>
    public bool FitsWeights { get; init; }

    /// <summary>Fitted weights leave room for inputs of all 8 bits (<see cref="WeightPairs"/>): also with engines that spare no bit, as
    /// the file may go to a processor that needs it.</summary>
    public bool LimitsPairs { get; init; }

    /// <summary>The rules for a node's weights.</summary>
    /// <param name="config">The node's own configuration.</param>
    /// <param name="options">Resolved for the model.</param>
    /// <param name="limitsPairs">The node multiplies pairs of values of 8 bits.</param>
    public static ParameterRules Of(QConfig config, QuantizeOptions options, bool limitsPairs) =>
        new(config.Backend, options.MinimumRealRange) { FitsWeights = options.FitWeightScales == true, LimitsPairs = limitsPairs };

    /// <param name="observer">What was seen.</param>
    /// <param name="spec">What to make of it: another type or scheme than it was observed for, if need be.</param>
    public QParams Calculate(Observer observer, ObserverSpec spec)
    {
        spec = Widened(spec);
        if (observer.Spec != spec)
        {
            ObserverState state = observer.Save();
            state.Spec = spec;
            observer = Observer.Restore(state);
        }
        if (Backend != EngineKind.OnnxRuntime || !observer.HasObserved || !observer.HasRange)
            return observer.CalculateQParams();
        (float[] min, float[] max) = observer.SelectRange();
        return Calculate(min, max, spec);
    }

    /// <param name="min">Smallest values.</param>
    /// <param name="max">Largest values, as many.</param>
    /// <param name="spec">Type and scheme.</param>
    public QParams Calculate(float[] min, float[] max, ObserverSpec spec) => Backend == EngineKind.OnnxRuntime
        ? OrtQParams.Calculate(min, max, spec.DType, spec.Scheme, spec.ReduceRange, spec.ChannelAxis, MinimumRealRange)
        : QParamsCalculator.Calculate(min, max, spec.DType, spec.Scheme, spec.Range, Widened(spec).Eps, spec.ChannelAxis);

    /// <summary>Quantizes a constant, by its own range or by what an override says.</summary>
    /// <param name="constant">float32, in the file's layout.</param>
    /// <param name="spec">Observer of constants of its kind; its axis counts.</param>
    /// <param name="forced">What the user wants; null for nothing.</param>
    public QParams OfConstant(Tensor constant, ObserverSpec spec, TensorOverride? forced)
    {
        spec = Overridden(spec, forced, constant.Rank);
        if (Known(spec, forced) is QParams known)
            return known;
        Observer observer = spec.Create();
        observer.Observe(constant);
        return Calculate(observer, spec);
    }

    /// <summary>The parameters that an override gives or implies; null when the statistics have to tell.</summary>
    public QParams? Known(ObserverSpec spec, TensorOverride? forced)
    {
        if (forced?.Scale is { } scale && forced.ZeroPoint is { } zeroPoint)
            return new QParams([.. scale], [.. zeroPoint], spec.DType, spec.Scheme, spec.ChannelAxis);
        return forced?.Min is { } min && forced.Max is { } max ? Calculate([.. min], [.. max], spec) : null;
    }

    /// <summary>The specification with what an override says of type and scheme.</summary>
    public static ObserverSpec Overridden(ObserverSpec spec, TensorOverride? forced, int rank)
    {
        if (forced is null)
            return spec;
        bool channels = forced.Axis is not null || (spec.Scheme.IsPerChannel() && forced.Scale is null && forced.Min is null);
        bool symmetric = forced.Symmetric ?? spec.Scheme.IsSymmetric();
        int axis = forced.Axis is int a ? TensorShape.NormalizeAxis(a, rank) : spec.ChannelAxis;
        QDType dtype = forced.DType ?? spec.DType;
        return spec with
        {
            DType = dtype,
            QuantMin = dtype == spec.DType ? spec.QuantMin : null,
            QuantMax = dtype == spec.DType ? spec.QuantMax : null,
            ReduceRange = forced.ReduceRange ?? spec.ReduceRange,
            ChannelAxis = axis,
            Kind = channels == spec.Scheme.IsPerChannel() ? spec.Kind : channels ? ObserverKind.PerChannelMinMax : ObserverKind.MinMax,
            Scheme = channels ? symmetric ? QScheme.PerChannelSymmetric : QScheme.PerChannelAffine
                : symmetric ? QScheme.PerTensorSymmetric : QScheme.PerTensorAffine,
        };
    }

    /// <summary>PyTorch's rule knows a smallest scale instead of a smallest range.</summary>
    private ObserverSpec Widened(ObserverSpec spec)
    {
        if (Backend == EngineKind.OnnxRuntime || MinimumRealRange is not float range)
            return spec;
        QuantRange integers = spec.Range;
        return spec with { Eps = MathF.Max(spec.Eps, range / integers.Width) };
    }
}
