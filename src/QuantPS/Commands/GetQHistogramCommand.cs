using System.Management.Automation;
using QuantPS.Abstractions;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Observers;
using QuantPS.Models;
using QuantPS.Onnx.Calibration;

namespace QuantPS.Commands;

/// <summary>Get-QHistogram: how the observed values of a calibration, a quantized model or a layer's output spread.</summary>
[Cmdlet(VerbsCommon.Get, "QHistogram")]
[OutputType(typeof(QHistogram))]
public sealed class GetQHistogramCommand : QuantCmdlet
{
    /// <summary>Names of tensors, with wildcards; all by default.</summary>
    [Parameter(Position = 0)]
    [SupportsWildcards]
    [ValidateNotNullOrEmpty]
    public string[] Name { get; set; } = ["*"];

    /// <summary>A Calibration, a QuantizedModel, or a layer that Get-QLayer gave of one.</summary>
    [Parameter(Mandatory = true, ValueFromPipeline = true)]
    [ValidateNotNull]
    public object InputObject { get; set; } = null!;

    /// <inheritdoc/>
    protected override object? CurrentItem => InputObject;

    /// <inheritdoc/>
    protected override void Process()
    {
        object given = InputObject is PSObject wrapped ? wrapped.BaseObject : InputObject;
        (string model, IReadOnlyList<(string Name, Observer Observer)> observed) = given switch
        {
            Calibration calibration => (calibration.Name, InOrder(calibration.Data)),
            QuantizedModel quantized => (quantized.Name, InOrder(quantized.Graph.Calibration)),
            QLayer { Observed: (string, Observer) seen } layer => (layer.Model, [seen]),
            QLayer layer => throw new QuantException(ErrorIds.NeverObserved, $"Nothing was observed at the output of '{layer.Name}': "
                + "it is float, or comes from a model that was not calibrated, or its parameters are fixed or those of its input.", layer),
            _ => throw new QuantException(ErrorIds.InvalidArgument,
                $"Get-QHistogram takes a Calibration, a QuantizedModel or a layer of Get-QLayer, not {given.GetType().Name}.", given),
        };
        (string Name, Observer Observer)[] kept = [.. observed.Where(o => !o.Observer.Histogram.IsEmpty)];
        if (kept.Length == 0)
        {
            throw new QuantException(ErrorIds.ObserverHasNoRange,
                $"The observers of '{model}' ({string.Join(", ", observed.Select(o => o.Observer.Spec.Kind).Distinct())}) "
                + "keep no histogram. Calibrate with one that does: Histogram, Mse, Entropy, Percentile or Distribution.", given);
        }
        foreach (string pattern in Name)
        {
            var wildcard = new WildcardPattern(pattern, WildcardOptions.IgnoreCase);
            var matches = kept.Where(o => wildcard.IsMatch(o.Name)).ToArray();
            if (matches.Length == 0 && !WildcardPattern.ContainsWildcardCharacters(pattern))
                Guard(() => throw new QuantException(ErrorIds.LayerNotFound,
                    $"There is no histogram of '{pattern}'. The tensors: {string.Join(", ", kept.Select(o => o.Name))}.", pattern), pattern);
            foreach ((string name, Observer observer) in matches)
            {
                Cancellation.ThrowIfCancellationRequested();
                WriteObject(new QHistogram(model, name, observer));
            }
        }
    }

    /// <summary>As the values flow through the graph.</summary>
    private static (string Name, Observer Observer)[] InOrder(CalibrationData data) =>
        [.. data.Plan.Observed.Where(data.Observers.ContainsKey).Select(v => (v, data.Observers[v]))];
}
