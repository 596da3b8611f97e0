using System.Management.Automation;
using QuantPS.Abstractions;
using QuantPS.Models;
using QuantPS.Onnx.Calibration;

namespace QuantPS.Commands;

/// <summary>Export-Calibration: writes what was observed to a JSON file, without loss; compressed when its name ends in .gz.</summary>
[Cmdlet(VerbsData.Export, "Calibration", DefaultParameterSetName = PathSet, SupportsShouldProcess = true)]
[OutputType(typeof(FileInfo))]
public sealed class ExportCalibrationCommand : PathOutputCmdlet<Calibration>
{
    /// <summary>Gives the file.</summary>
    [Parameter]
    public SwitchParameter PassThru { get; set; }

    /// <inheritdoc/>
    protected override void ProcessItem(Calibration item)
    {
        string file = ResolvePath(GivenPath);
        bool compress = file.EndsWith(".gz", StringComparison.OrdinalIgnoreCase);
        if (Save(file, $"Write calibration of {item.Name}", stream => CalibrationFile.Write(item.Data, stream, compress)) && PassThru)
            WriteObject(new FileInfo(file));
    }
}
