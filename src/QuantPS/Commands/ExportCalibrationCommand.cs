using System.Management.Automation;
using QuantPS.Abstractions;
using QuantPS.Engine.Configuration;
using QuantPS.Models;
using QuantPS.Onnx.Calibration.Formats;

namespace QuantPS.Commands;

/// <summary>Export-Calibration: writes what was observed to a JSON file, without loss, compressed when its name ends in .gz; or to the files of
/// another tool, which hold ranges or parameters only.</summary>
[Cmdlet(VerbsData.Export, "Calibration", DefaultParameterSetName = PathSet, SupportsShouldProcess = true)]
[OutputType(typeof(FileInfo))]
public sealed class ExportCalibrationCommand : PathOutputCmdlet<Calibration>
{
    /// <summary>Gives the file.</summary>
    [Parameter]
    public SwitchParameter PassThru { get; set; }

    /// <summary>Whose form of file: QuantPS, OnnxRuntime (calibration.json, *.flatbuffers or *.cache, by the file's name) or Aimet
    /// (*.encodings).</summary>
    [Parameter]
    public CalibrationFileKind Format { get; set; } = CalibrationFileKind.QuantPS;

    /// <summary>Version of the form, for those with several: 0.6.1 (the default) or 1.0.0 of AIMET's encodings.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    [ValidateSet("0.6.1", "1.0.0")]
    public string? FormatVersion { get; set; }

    /// <inheritdoc/>
    protected override void ProcessItem(Calibration item)
    {
        string file = ResolvePath(GivenPath);
        string? version = FormatVersion;
        CalibrationFormat format = CalibrationFormats.ForWriting(Format, file, ref version);
        if (Save(file, $"Write calibration of {item.Name}", stream => format.Write(item.Data, stream, file, version!)) && PassThru)
            WriteObject(new FileInfo(file));
    }
}
