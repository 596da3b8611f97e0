using System.Management.Automation;
using QuantPS.Abstractions;
using QuantPS.Models;

namespace QuantPS.Commands;

/// <summary>The form of a quantized ONNX file.</summary>
public enum QuantFormat
{
    /// <summary>Float operators between QuantizeLinear and DequantizeLinear.</summary>
    QDQ,
}

/// <summary>Export-QModel: writes a model as .onnx; a quantized one with QuantizeLinear and DequantizeLinear around its operators.</summary>
[Cmdlet(VerbsData.Export, "QModel", DefaultParameterSetName = PathSet, SupportsShouldProcess = true)]
[OutputType(typeof(FileInfo))]
public sealed class ExportQModelCommand : PathOutputCmdlet<IModel>
{
    /// <summary>QDQ: what ONNX Runtime and other runtimes fuse to int8 operators themselves.</summary>
    [Parameter]
    public QuantFormat Format { get; set; } = QuantFormat.QDQ;

    /// <summary>Gives the file.</summary>
    [Parameter]
    public SwitchParameter PassThru { get; set; }

    /// <inheritdoc/>
    protected override void ProcessItem(IModel item)
    {
        string file = ResolvePath(GivenPath);
        if (item is QuantizedModel quantized)
        {
            foreach (string warning in quantized.Qdq.Notes)
                WriteWarning(warning);
        }
        byte[] bytes = item is QuantizedModel q ? q.Qdq.Model.ToBytes() : ((QModel)item).Onnx.ToBytes();
        if (Save(file, $"Write model {item.Name}", stream => stream.Write(bytes)) && PassThru)
            WriteObject(new FileInfo(file));
    }
}
