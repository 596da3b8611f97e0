using System.Management.Automation;
using QuantPS.Abstractions;
using QuantPS.Completion;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Commands;

/// <summary>New-QuantizedTensor: known integers with known parameters.</summary>
[Cmdlet(VerbsCommon.New, "QuantizedTensor")]
[OutputType(typeof(QuantizedTensor))]
public sealed class NewQuantizedTensorCommand : QuantCmdlet
{
    /// <summary>The integers, row-major.</summary>
    [Parameter(Mandatory = true)]
    [AllowEmptyCollection]
    public int[] IntRepr { get; set; } = [];

    /// <summary>Sizes of the dimensions.</summary>
    [Parameter(Mandatory = true)]
    [AllowEmptyCollection]
    public int[] Shape { get; set; } = [];

    /// <summary>One scale, or one per channel along -Axis.</summary>
    [Parameter(Mandatory = true)]
    public float[] Scale { get; set; } = [];

    /// <summary>One zero point, or one per channel. 0 by default.</summary>
    [Parameter]
    [ValidateNotNull]
    public int[] ZeroPoint { get; set; } = [];

    /// <summary>quint8 (the default), qint8, qint32, int16, uint16, int4 or quint4x2 (uint4).</summary>
    [Parameter]
    [Spelling<QDType>]
    public QDType DType { get; set; } = QDType.QUInt8;

    /// <summary>The channels' dimension; makes the parameters per channel.</summary>
    [Parameter]
    public int? Axis { get; set; }

    /// <inheritdoc/>
    protected override void Process() =>
        WriteObject(QuantizedTensor.FromIntegers(IntRepr, Shape, QParamsParameters.Create(Scale, ZeroPoint, DType, Axis, Shape.Length)));
}
