using System.Management.Automation;
using QuantPS.Abstractions;
using QuantPS.Completion;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Commands;

/// <summary>ConvertTo-Quantized: a float tensor to integers with known parameters.</summary>
[Cmdlet(VerbsData.ConvertTo, "Quantized", DefaultParameterSetName = TensorSet)]
[OutputType(typeof(QuantizedTensor), ParameterSetName = [TensorSet])]
public sealed class ConvertToQuantizedCommand : QuantCmdlet
{
    private const string TensorSet = "Tensor";

    /// <summary>The tensors to quantize.</summary>
    [Parameter(Mandatory = true, ValueFromPipeline = true, ParameterSetName = TensorSet)]
    [ValidateNotNull]
    public Tensor[] InputObject { get; set; } = [];

    /// <summary>One scale, or one per channel along -Axis.</summary>
    [Parameter(Mandatory = true, ParameterSetName = TensorSet)]
    public float[] Scale { get; set; } = [];

    /// <summary>One zero point, or one per channel. 0 by default.</summary>
    [Parameter(ParameterSetName = TensorSet)]
    [ValidateNotNull]
    public int[] ZeroPoint { get; set; } = [];

    /// <summary>quint8 (the default), qint8 or qint32.</summary>
    [Parameter(ParameterSetName = TensorSet)]
    [Spelling<QDType>]
    [ValidateSet(typeof(SpellingNames<QDType>))]
    public QDType DType { get; set; } = QDType.QUInt8;

    /// <summary>The channels' dimension; makes the parameters per channel.</summary>
    [Parameter(ParameterSetName = TensorSet)]
    public int? Axis { get; set; }

    /// <summary>ONNX's rule, x / scale, instead of PyTorch's, x * (1 / scale).</summary>
    [Parameter(ParameterSetName = TensorSet)]
    public SwitchParameter Onnx { get; set; }

    /// <inheritdoc/>
    protected override void Process()
    {
        foreach (Tensor tensor in InputObject)
        {
            Guard(() => WriteObject(Quantizer.Quantize(tensor, QParamsParameters.Create(Scale, ZeroPoint, DType, Axis, tensor.Rank), Onnx)), tensor);
        }
    }
}
