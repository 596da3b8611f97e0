using System.Management.Automation;
using QuantPS.Abstractions;
using QuantPS.Models;
using QuantPS.Onnx.Model;

namespace QuantPS.Commands;

/// <summary>Import-QModel: reads .onnx files.</summary>
[Cmdlet(VerbsData.Import, "QModel", DefaultParameterSetName = PathSet)]
[OutputType(typeof(QModel))]
public sealed class ImportQModelCommand : PathInputCmdlet
{
    /// <inheritdoc/>
    protected override void ProcessFile(string file) => WriteObject(new QModel(OnnxModel.Load(file)));
}
