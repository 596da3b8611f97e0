using System.Management.Automation;
using QuantPS.Abstractions;
using QuantPS.Engine.Errors;
using QuantPS.Models;
using QuantPS.Onnx.Calibration;

namespace QuantPS.Commands;

/// <summary>Import-Calibration: reads calibrations that Export-Calibration wrote, for the float model that they belong to.</summary>
[Cmdlet(VerbsData.Import, "Calibration", DefaultParameterSetName = PathSet)]
[OutputType(typeof(Calibration))]
public sealed class ImportCalibrationCommand : PathInputCmdlet
{
    /// <summary>The float model that was calibrated. Another one is refused: the file knows the model by its SHA-256.</summary>
    [Parameter(Mandatory = true, Position = 1)]
    [ValidateNotNull]
    public QModel Model { get; set; } = null!;

    /// <inheritdoc/>
    protected override void ProcessFile(string file)
    {
        byte[] bytes;
        try
        {
            bytes = File.ReadAllBytes(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new QuantException(ErrorIds.FileUnreadable, $"'{file}' cannot be read: {e.Message}", file, e);
        }
        WriteObject(new Calibration(Model, CalibrationFile.Read(bytes, Model.Onnx, file)));
    }
}
