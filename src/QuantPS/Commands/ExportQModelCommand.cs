using System.Management.Automation;
using QuantPS.Abstractions;
using QuantPS.Models;
using QuantPS.Onnx.Export;

namespace QuantPS.Commands;

/// <summary>The form of a quantized ONNX file.</summary>
public enum QuantFormat
{
    /// <summary>Float operators between QuantizeLinear and DequantizeLinear.</summary>
    QDQ,

    /// <summary>Operators on integers: QLinearConv, QGemm, QLinearAdd, ...</summary>
    QOperator,
}

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
        byte[] bytes = quantized?.Model.ToBytes() ?? ((QModel)item).Onnx.ToBytes();
        if (Save(file, $"Write model {item.Name}", stream => stream.Write(bytes)) && PassThru)
            WriteObject(new FileInfo(file));
    }
}
