using System.Globalization;
using System.Management.Automation;
using QuantPS.Abstractions;
using QuantPS.Completion;
using QuantPS.Data.Formats;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;

namespace QuantPS.Commands;

/// <summary>Export-Tensor: a tensor to a file. One file takes one tensor; {0} in the path is the tensor's number, for several.</summary>
[Cmdlet(VerbsData.Export, "Tensor", DefaultParameterSetName = PathSet, SupportsShouldProcess = true)]
[OutputType(typeof(void))]
public sealed class ExportTensorCommand : PathOutputCmdlet<object>
{
    private int number;

    /// <summary>Tensors or quantized tensors; of the latter the integers are written.</summary>
    [Parameter(Mandatory = true, ValueFromPipeline = true)]
    [TensorOrQuantizedTensor]
    public override object[] InputObject { get => base.InputObject; set => base.InputObject = value; }

    /// <inheritdoc/>
    protected override void ProcessItem(object item)
    {
        string file = ResolvePath(Numbered(number));
        if (number > 0 && file == ResolvePath(Numbered(0)))
            throw new QuantException(ErrorIds.InvalidArgument,
                $"'{file}' takes one tensor, and this is number {number + 1}. Put {{0}} into the path for the tensor's number: 'tensor-{{0:D4}}.npy'.", item);
        TensorFormat format = TensorFormats.Writer(file);
        number++;
        Save(file, $"Write {item}", stream =>
        {
            if (item is QuantizedTensor quantized)
                format.Write(stream, quantized);
            else
                format.Write(stream, (Tensor)item);
        });
    }

    private string Numbered(int n)
    {
        if (!GivenPath.Contains("{0", StringComparison.Ordinal))
            return GivenPath;
        try
        {
            return string.Format(CultureInfo.InvariantCulture, GivenPath, n);
        }
        catch (FormatException e)
        {
            throw new QuantException(ErrorIds.InvalidArgument, $"'{GivenPath}' is no pattern: write {{0}} or {{0:D4}} where the number goes. {e.Message}", GivenPath, e);
        }
    }
}
