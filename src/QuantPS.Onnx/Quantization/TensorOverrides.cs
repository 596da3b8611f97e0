using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Onnx.Model;

namespace QuantPS.Onnx.Quantization;

/// <summary>Checks overrides of tensors, and finds the second form that consumers get.</summary>
internal static class TensorOverrides
{
    /// <exception cref="QuantException">LayerNotFound: no quantized tensor of that name. InvalidArgument: what does not go
    /// together.</exception>
    public static void Check(IReadOnlyDictionary<string, TensorOverride> overrides, QuantizationPlan plan, QConfig config)
    {
        if (overrides.Count == 0)
            return;
        HashSet<string> weights = Weights(plan);
        HashSet<string> values = [.. plan.Observed, .. plan.Constants];
        foreach ((string name, TensorOverride o) in overrides)
        {
            bool isWeight = weights.Contains(name), isConstant = plan.Constants.Contains(name);
            if (!isWeight && !values.Contains(name))
            {
                string help = plan.Root(name) is string root ? $"Its scale and zero point are those of '{root}'; name that one."
                    : $"The nearest: {string.Join(", ", LayerPattern.Nearest(name, weights.Concat(values)))}.";
                throw new QuantException(ErrorIds.LayerNotFound, $"'{plan.Model.Name}' has no quantized tensor '{name}' to override. {help}", name);
            }
            if (!isWeight && o is { Axis: not null })
                throw Wrong("an axis goes with weights only; activations have one scale");
            if (!isWeight && o is { ReduceRange: not null })
                throw Wrong("a reduced range goes with weights only");
            if ((isWeight || isConstant) && o.Convert is not null)
                throw Wrong("only activations can be converted for their consumers");
            CheckRange(o);
            if (o.Convert is TensorOverride second)
            {
                CheckRange(second);
                if (second.DType is null)
                    throw Wrong("what it is converted to needs a type");
                if (second.DType == (o.DType ?? plan.ConfigOf(name, config).Activation.DType))
                    throw Wrong("what it is converted to has the type that it already has");
                string[] consumers = [.. plan.Model.Graph.Consumers(name).Select(GraphIndex.DisplayName)];
                if (o.ConvertFor.FirstOrDefault(c => !consumers.Contains(c)) is string stranger)
                {
                    throw new QuantException(ErrorIds.LayerNotFound,
                        $"The override of '{name}' converts it for '{stranger}', which does not take it. "
                        + $"Its consumers: {string.Join(", ", consumers)}.", stranger);
                }
            }

            void CheckRange(TensorOverride given)
            {
                if ((given.Scale is null) != (given.ZeroPoint is null) || given.Scale?.Count != given.ZeroPoint?.Count)
                    throw Wrong("scale and zero point go together, as many of one as of the other");
                if ((given.Min is null) != (given.Max is null) || given.Min?.Count != given.Max?.Count)
                    throw Wrong("the ends of a range go together, as many of one as of the other");
                if (given.Scale is not null && (given.Symmetric ?? given.ReduceRange) is not null)
                    throw Wrong("symmetric and reduced range mean nothing beside scale and zero point");
                if (given.Scale is not null && given.Min is not null)
                    throw Wrong("give scale and zero point, or a range, not both");
            }

            QuantException Wrong(string what) => new(ErrorIds.InvalidArgument, $"The override of '{name}' cannot be: {what}.", name);
        }
    }

    /// <summary>The options with the parameters that came with the calibration, where nothing was decided that says otherwise: an override of the
    /// tensor, another type, scheme or number of scales.</summary>
    public static QuantizeOptions WithGiven(QuantizeOptions options, IReadOnlyDictionary<string, TensorOverride> given, QuantizationPlan plan)
    {
        if (given.Count == 0)
            return options;
        HashSet<string> weights = Weights(plan);
        Dictionary<string, TensorOverride> tensors = new(options.Tensors, StringComparer.Ordinal);
        bool activationsStay = (options.ActivationType, options.SymmetricActivations, options.MinimumRealRange) == (null, null, null);
        bool weightsStay = (options.WeightType, options.SymmetricWeights, options.PerChannel, options.ReduceRange, options.MinimumRealRange) == (null, null, null, null, null);
        foreach ((string name, TensorOverride parameters) in given)
        {
            if (weights.Contains(name) ? weightsStay : activationsStay && (plan.Observed.Contains(name) || plan.Constants.Contains(name)))
                tensors.TryAdd(name, parameters);
        }
        return options with { Tensors = tensors };
    }

    private static HashSet<string> Weights(QuantizationPlan plan) => [.. plan.Nodes.Where(n => n.IsQuantized)
        .SelectMany(n => n.Operator!.WeightInputs(plan.ContextOf(n)).Where(w => !w.IsBias).Select(w => GraphIndex.Input(n.Node, w.Index)))];

    /// <summary>The parameters that a node sees at an input: the value's own, or those that it is converted to.</summary>
    public static QParams ForConsumer(QParams own, PlannedNode node, string value, QuantizeOptions options, QConfig config, QuantizationPlan plan)
    {
        if (options.Tensors.GetValueOrDefault(value) is not { Convert: TensorOverride second } first
            || (first.ConvertFor.Count > 0 && !first.ConvertFor.Contains(node.Name)))
            return own;
        Engine.Observers.ObserverSpec spec = ParameterRules.Overridden(plan.ConfigOf(value, config).Activation, second, 0);
        ParameterRules rules = new(config.Backend, options.MinimumRealRange);
        // What is not said: the range that the first form covers.
        (int min, int max) = own.DType.Range();
        return rules.Known(spec, second)
            ?? rules.Calculate([own.Scales[0] * (min - own.ZeroPoints[0])], [own.Scales[0] * (max - own.ZeroPoints[0])], spec);
    }
}
