using System.Management.Automation;
using QuantPS.Abstractions;
using QuantPS.Models;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;

namespace QuantPS.Commands;

/// <summary>Export-QModel: writes a model as .onnx; a quantized one with QuantizeLinear and DequantizeLinear around its operators, or with
/// operators on integers.</summary>
[Cmdlet(VerbsData.Export, "QModel", DefaultParameterSetName = PathSet, SupportsShouldProcess = true)]
[OutputType(typeof(FileInfo))]
public sealed class ExportQModelCommand : PathOutputCmdlet<IModel>
{
    /// <summary>QDQ (the default): float operators between QuantizeLinear and DequantizeLinear, which runtimes fuse to int8 operators
    /// themselves. QOperator: int8 operators,
    /// ONNX's own and ONNX Runtime's. quantize_static: quant_format.</summary>
    [Parameter]
    public QuantFormat Format { get; set; } = QuantFormat.QDQ;

    /// <summary>Writes the weights to a second file beside the model, its name with .data behind. A model beyond 2 GB is always written so.
    /// quantize_static: use_external_data_format.</summary>
    [Parameter]
    public SwitchParameter ExternalData { get; set; }

    /// <summary>Gives the file.</summary>
    [Parameter]
    public SwitchParameter PassThru { get; set; }

    /// <inheritdoc/>
    protected override void ProcessItem(IModel item)
    {
        string file = ResolvePath(GivenPath);
        ExportResult? quantized = (item as QuantizedModel)?.Exported(Format);
        foreach (string warning in quantized?.Notes ?? [])
            WriteWarning(warning);
        OnnxModel model = quantized?.Model ?? ((QModel)item).Onnx;
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
