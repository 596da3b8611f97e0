using QuantPS.Engine.Configuration;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Calibration;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Quantization;

/// <summary>What a calibration's conversions with different options have in common, so that it is not worked out again: the parameters of
/// every value and weight, and the integers of each weight as the latest conversion made them.</summary>
/// <remarks>Everything is found by all that it depends on; an observer that saw more since then counts as another one. Integers are shared
/// among quantized graphs, which never change them. Thread-safe.</remarks>
internal sealed class ConversionCache
{
    private readonly Lock gate = new();
    private readonly Dictionary<(Observer Observer, ObserverSpec Spec, ParameterRules Rules), (long Elements, QParams Parameters)> values = [];
    private readonly Dictionary<(NodeProto Node, int Input, ObserverSpec Spec, ParameterRules Rules), QParams> ranges = [];
    private readonly Dictionary<(NodeProto Node, int Input), (ParameterRules Rules, QuantRange? Range, QuantizedTensor Weight)> weights = [];
    private (ChannelFactors Factors, CalibrationData Calibration)? equalized;

    /// <summary>The equalized model with its own cache, as the latest conversion that had these factors made it.</summary>
    /// <param name="factors">What is scaled.</param>
    /// <param name="make">Makes it; asked only where the latest one had other factors.</param>
    public CalibrationData OfEqualized(ChannelFactors factors, Func<CalibrationData> make)
    {
        lock (gate)
        {
            if (equalized is not { } latest || !latest.Factors.IsSameAs(factors))
                equalized = latest = (factors, make());
            return latest.Calibration;
        }
    }

    /// <summary>Parameters from an observer, by <see cref="ParameterRules.Calculate(Observer, ObserverSpec)"/>.</summary>
    public QParams OfValue(Observer observer, ObserverSpec spec, ParameterRules rules)
    {
        lock (gate)
        {
            if (values.TryGetValue((observer, spec, rules), out (long Elements, QParams Parameters) known) && known.Elements == observer.ElementCount)
                return known.Parameters;
            QParams made = rules.Calculate(observer, spec);
            values[(observer, spec, rules)] = (observer.ElementCount, made);
            return made;
        }
    }

    /// <summary>A weight's integers.</summary>
    /// <param name="node">The node it belongs to.</param>
    /// <param name="input">Which input.</param>
    /// <param name="spec">Its observer.</param>
    /// <param name="rules">How parameters follow from the range.</param>
    /// <param name="real">The float weight; asked for only where something is not known yet.</param>
    /// <param name="adjust">What else the parameters depend on.</param>
    /// <param name="range">As for <see cref="ModelQuantizer.Quantize(Tensor, QParams, EngineKind, QuantRange?)"/>.</param>
    public QuantizedTensor OfWeight(NodeProto node, int input, ObserverSpec spec, ParameterRules rules, Func<Tensor> real, Func<QParams, QParams>? adjust,
        QuantRange? range)
    {
        lock (gate)
        {
            Tensor? opened = null;
            if (!ranges.TryGetValue((node, input, spec, rules), out QParams? parameters))
            {
                parameters = rules.OfConstant(opened = real(), spec, null);
                if (rules.FitsWeights && parameters.IsPerChannel)
                    parameters = WeightScales.Fit(opened, parameters, range, rules.LimitsPairs);
                ranges[(node, input, spec, rules)] = parameters;
            }
            parameters = adjust?.Invoke(parameters) ?? parameters;
            if (weights.TryGetValue((node, input), out (ParameterRules Rules, QuantRange? Range, QuantizedTensor Weight) known)
                && known.Rules == rules && known.Range == range && known.Weight.QParams.IsSameAs(parameters))
                return known.Weight;
            QuantizedTensor made = rules.FitsWeights && parameters.IsPerChannel
                ? WeightRounding.Quantize(opened ?? real(), parameters, range, rules.LimitsPairs)
                : ModelQuantizer.Quantize(opened ?? real(), parameters, rules.Backend, range);
            weights[(node, input)] = (rules, range, made);
            return made;
        }
    }
}
