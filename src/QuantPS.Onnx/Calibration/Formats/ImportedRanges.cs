using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Observers;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Operators;
using QuantPS.Onnx.Passes;
using QuantPS.Onnx.Quantization;

namespace QuantPS.Onnx.Calibration.Formats;

/// <summary>A calibration made from ranges, and perhaps parameters, that another tool found.</summary>
internal static class ImportedRanges
{
    /// <summary>Values that the file does not know stay float, and so do the nodes around them.</summary>
    /// <param name="model">The float model.</param>
    /// <param name="config">How to quantize; null for the preset onnxruntime. Its activation observer gives the type and the scheme.</param>
    /// <param name="ranges">Smallest and largest value, by the value's name.</param>
    /// <param name="given">Parameters, of values and weights.</param>
    /// <param name="where">The file, for messages.</param>
    /// <exception cref="QuantException">CalibrationMismatch: nothing in the file is a value of this model. NothingToQuantize.</exception>
    public static CalibrationData Create(OnnxModel model, QConfig? config, IReadOnlyDictionary<string, (float Min, float Max)> ranges,
        IReadOnlyDictionary<string, TensorOverride> given, string where)
    {
        config ??= QConfigPresets.Get("onnxruntime");
        config = config with { Activation = ByRange(config.Activation), Overrides = [.. config.Overrides.Select(o => o with { Activation = ByRange(o.Activation) })] };
        OnnxModel run = PassRegistry.Apply(model);
        if (!ranges.Keys.Any(v => run.Graph.Producer(v) is not null || run.Graph.Inputs.Any(i => i.Name == v)))
        {
            throw new QuantException(ErrorIds.CalibrationMismatch, $"'{where}' has ranges of {ranges.Count} values, and none of them is a value of '{model.Name}'"
                + $"{(ranges.Count > 0 ? $" ('{ranges.Keys.First()}' for one)" : "")}. Name the model that it was made for, with the names that its values had then.", model);
        }
        QuantizationPlan plan = new(run, config, ranges.Keys.ToHashSet(StringComparer.Ordinal));
        Dictionary<string, Observer> observers = new(StringComparer.Ordinal);
        foreach (string value in plan.Observed.Where(v => plan.FixedOutput(v, config) is null))
        {
            (float min, float max) = ranges[value];
            // How many elements had this range is not known; two have one.
            observers[value] = Observer.Restore(new ObserverState
            {
                Spec = plan.ConfigOf(value, config).Activation,
                BatchCount = 1,
                ElementCount = 2,
                Parts = [new ObserverPart { Min = [min], Max = [max] }],
            });
        }
        return new CalibrationData { Original = model, QConfig = config, Plan = plan, Observers = observers, Given = WithAxes(given, plan, where), IsImported = true };
    }

    /// <summary>The parameters of what is quantized; of weights per channel with the dimension, that of the output channels.</summary>
    private static Dictionary<string, TensorOverride> WithAxes(IReadOnlyDictionary<string, TensorOverride> given, QuantizationPlan plan, string where)
    {
        Dictionary<string, TensorOverride> known = given.Where(g => plan.Observed.Contains(g.Key) || plan.Constants.Contains(g.Key)).ToDictionary(StringComparer.Ordinal);
        foreach (PlannedNode node in plan.Nodes.Where(n => n.IsQuantized))
        {
            foreach (WeightInput place in node.Operator!.WeightInputs(plan.ContextOf(node)).Where(w => !w.IsBias))
            {
                string name = GraphIndex.Input(node.Node, place.Index);
                if (!given.TryGetValue(name, out TensorOverride? weight))
                    continue;
                int[] shape = plan.ContextOf(node).ConstantInput(place.Index)!.Shape();
                int count = weight.Scale!.Count, channels = place.Axis is int axis ? shape[axis] : 1;
                if (count != 1 && count != channels)
                {
                    throw new QuantException(ErrorIds.CalibrationMismatch,
                        $"'{where}' has {count} scales for the weight '{name}', which has {channels} output channels. Name the model that it was made for.", name);
                }
                known[name] = count == 1 ? weight : weight with { Axis = place.Axis };
            }
        }
        return known;
    }

    private static ObserverSpec ByRange(ObserverSpec spec) => spec with { Kind = ObserverKind.MinMax };
}
