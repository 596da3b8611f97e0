using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Observers;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Quantization;

namespace QuantPS.Onnx.Calibration;

/// <summary>A float model and what was observed while it ran.</summary>
public sealed record CalibrationData
{
    /// <summary>The model as it was given.</summary>
    public required OnnxModel Original { get; init; }

    public required QConfig QConfig { get; init; }

    /// <summary>Which nodes are to be quantized; holds the float model after the passes.</summary>
    public required QuantizationPlan Plan { get; init; }

    /// <summary>The float model after the passes: what was run.</summary>
    public OnnxModel Model => Plan.Model;

    /// <summary>An observer per value that needs parameters of its own.</summary>
    public required IReadOnlyDictionary<string, Observer> Observers { get; init; }

    /// <summary>The range of every channel, for the values where <see cref="ChannelEqualization"/> may have use for it.</summary>
    public IReadOnlyDictionary<string, Observer> Channels { get; init; } = new Dictionary<string, Observer>();

    /// <summary>Samples seen: the first dimension of each batch, summed up.</summary>
    public long SampleCount { get; init; }

    /// <summary>Batches seen.</summary>
    public long BatchCount { get; init; }

    /// <summary>Parameters that were given rather than observed, by the name of the value or weight.</summary>
    public IReadOnlyDictionary<string, TensorOverride> Given { get; init; } = NothingGiven;

    /// <summary>It holds what another tool found: ranges, no statistics.</summary>
    public bool IsImported { get; init; }

    internal static IReadOnlyDictionary<string, TensorOverride> NothingGiven { get; } = new Dictionary<string, TensorOverride>();

    /// <summary>What conversions worked out already.</summary>
    internal ConversionCache Cache { get; private init; } = new();

    /// <summary>The calibration of a rewritten model. Its weights are others, under names that may be the same.</summary>
    internal CalibrationData Rewritten(QuantizationPlan plan, IReadOnlyDictionary<string, Observer> observers) =>
        this with { Plan = plan, Observers = observers, Cache = new() };

    /// <summary>Which model it belongs to.</summary>
    public ModelIdentity Identity => ModelIdentity.Of(Original, Model);

    /// <summary>One calibration of several, as if one had seen all the data; the given ones stay as they are.</summary>
    /// <remarks>Associative and free of order, to the bit, wherever the observers' merges are (see <see cref="Observer.Merge"/>).</remarks>
    /// <exception cref="QuantException">InvalidArgument: none given, or observers that have no merge. CalibrationMismatch: other models or configurations.</exception>
    public static CalibrationData Merge(IReadOnlyList<CalibrationData> calibrations)
    {
        if (calibrations.Count == 0)
            throw new QuantException(ErrorIds.InvalidArgument, "There is nothing to merge: give calibrations of the same model.");
        // The result does not tell which of them came first.
        CalibrationData first = calibrations.OrderBy(c => c.Original.Name, StringComparer.Ordinal).ThenBy(c => c.Original.Path, StringComparer.Ordinal)
            .ThenBy(c => c.QConfig.Name, StringComparer.Ordinal).First();
        if (calibrations.FirstOrDefault(c => c.IsImported) is CalibrationData foreign)
        {
            throw new QuantException(ErrorIds.CalibrationMismatch,
                $"The calibration of '{foreign.Original.Name}' was imported from another tool's file, with ranges only, and cannot be merged. Merge before exporting.", foreign);
        }
        ModelIdentity identity = first.Identity;
        foreach (CalibrationData other in calibrations)
        {
            if (identity.DifferenceTo(other.Identity) is string difference)
            {
                throw new QuantException(ErrorIds.CalibrationMismatch,
                    $"Calibrations of '{first.Original.Name}' and '{other.Original.Name}' cannot be merged, as the models differ: in the second, {difference}.", other);
            }
            if (other.QConfig with { Name = first.QConfig.Name } != first.QConfig)
            {
                throw new QuantException(ErrorIds.CalibrationMismatch,
                    $"Calibrations with different configurations cannot be merged: {first.QConfig}; {other.QConfig}. Calibrate with the same one.", other);
            }
        }
        return first with
        {
            Cache = new(),
            Observers = Merge(calibrations, c => c.Observers),
            Channels = Merge(calibrations, c => c.Channels),
            SampleCount = calibrations.Sum(c => c.SampleCount),
            BatchCount = calibrations.Sum(c => c.BatchCount),
        };
    }

    private static Dictionary<string, Observer> Merge(IReadOnlyList<CalibrationData> calibrations, Func<CalibrationData, IReadOnlyDictionary<string, Observer>> part)
    {
        Dictionary<string, Observer> merged = new(StringComparer.Ordinal);
        foreach ((string value, Observer observer) in part(calibrations[0]))
        {
            // A file of an earlier version has no channels.
            if (!calibrations.All(c => part(c).ContainsKey(value)))
                continue;
            Observer all = merged[value] = observer.Spec.Create();
            foreach (CalibrationData calibration in calibrations)
            {
                try
                {
                    all.Merge(part(calibration)[value]);
                }
                catch (QuantException e)
                {
                    throw new QuantException(e.ErrorId, $"The value '{value}': {e.Message}", calibration, e);
                }
            }
        }
        return merged;
    }
}
