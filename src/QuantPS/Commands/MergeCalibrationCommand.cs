using System.Management.Automation;
using QuantPS.Abstractions;
using QuantPS.Models;
using QuantPS.Onnx.Calibration;

namespace QuantPS.Commands;

/// <summary>Merge-Calibration: one calibration of several of the same model with the same configuration, in any order with the same
/// result.</summary>
/// <remarks>Observers whose statistics have no merge (moving averages; ONNX Runtime's histograms over different ranges) are refused.</remarks>
[Cmdlet(VerbsData.Merge, "Calibration")]
[OutputType(typeof(Calibration))]
public sealed class MergeCalibrationCommand : PipelineCmdlet<Calibration>
{
    private readonly List<Calibration> calibrations = [];

    /// <inheritdoc/>
    protected override void ProcessItem(Calibration item) => calibrations.Add(item);

    /// <inheritdoc/>
    protected override void End()
    {
        if (calibrations.Count == 0)
            return;
        CalibrationData merged = CalibrationData.Merge([.. calibrations.Select(c => c.Data)]);
        WriteObject(new Calibration(calibrations.First(c => ReferenceEquals(c.Data.Original, merged.Original)).Model, merged));
    }
}
