using System.Management.Automation;
using QuantPS.Abstractions;
using QuantPS.Models;
using QuantPS.Onnx.Model;

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

    /// <summary>Writes the weights to a second file beside the model, its name with .data behind. A model beyond 2 GB is always written so.</summary>
    [Parameter]
    public SwitchParameter ExternalData { get; set; }

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
        OnnxModel model = item is QuantizedModel q ? q.Qdq.Model : ((QModel)item).Onnx;
        bool? external = ExternalData ? true : null;
        // Before the question: -WhatIf must not promise what would then be refused.
        foreach (string written in model.FilesOf(file, external))
            OutputFile.CheckFree(written, Force);
        if (!ShouldProcess(file, $"Write model {item.Name}"))
            return;
        model.Save(file, Force, external);
        if (PassThru)
            WriteObject(new FileInfo(file));
    }
}
