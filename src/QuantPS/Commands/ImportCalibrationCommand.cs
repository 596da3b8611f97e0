using System.Management.Automation;
using QuantPS.Abstractions;
using QuantPS.Completion;
using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Models;
using QuantPS.Onnx.Calibration.Formats;

namespace QuantPS.Commands;

/// <summary>Import-Calibration: reads calibrations that Export-Calibration wrote, ONNX Runtime's calibration tables and AIMET's encodings, for
/// the float model that they belong to.</summary>
[Cmdlet(VerbsData.Import, "Calibration", DefaultParameterSetName = PathSet)]
[OutputType(typeof(Calibration))]
public sealed class ImportCalibrationCommand : PathInputCmdlet
{
    /// <summary>The float model that was calibrated. Another one is refused: the file knows the model by its SHA-256.</summary>
    [Parameter(Mandatory = true, Position = 1)]
    [ValidateNotNull]
    public QModel Model { get; set; } = null!;

    /// <summary>Whose form of file; by default what its content and its name say.</summary>
    [Parameter]
    public CalibrationFileKind Format { get; set; }

    /// <summary>How to quantize by another tool's ranges: the engine, types and schemes. By default the preset onnxruntime. Files of this module
    /// have their own.</summary>
    [Parameter]
    [ValidateNotNull]
    [QConfig]
    [ArgumentCompleter(typeof(QConfigCompleter))]
    public QConfig? QConfig { get; set; }

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
        CalibrationFileKind? kind = MyInvocation.BoundParameters.ContainsKey(nameof(Format)) ? Format : null;
        CalibrationFormat format = CalibrationFormats.ForReading(bytes, file, kind);
        WriteObject(new Calibration(Model, format.Read(bytes, Model.Onnx, QConfig, file)));
    }
}
