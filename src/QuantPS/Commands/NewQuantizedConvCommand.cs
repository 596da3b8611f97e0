using System.Management.Automation;
using QuantPS.Abstractions;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Commands;

/// <summary>New-QuantizedConv: a quantized convolution from known integers and parameters.</summary>
[Cmdlet(VerbsCommon.New, "QuantizedConv")]
[OutputType(typeof(QuantizedConv))]
public sealed class NewQuantizedConvCommand : NewLayerCmdlet
{
    /// <summary>One number, or one per spatial dimension.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public int[] Stride { get; set; } = [1];

    /// <summary>Rows and columns added on each side: one number, or one per spatial dimension.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public int[] Padding { get; set; } = [0];

    /// <summary>Distance between taps: one number, or one per spatial dimension.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public int[] Dilation { get; set; } = [1];

    /// <summary>Groups of channels; as many as channels makes a depthwise convolution.</summary>
    [Parameter]
    public int Groups { get; set; } = 1;

    /// <inheritdoc/>
    protected override QuantizedWeightLayer Create(QParams input, QParams output, LayerOptions options) => Weight.Rank < 3
        ? throw new QuantException(ErrorIds.ShapeMismatch, $"The weight [{TensorShape.Format(Weight.Dims)}] must be [output channels, input channels / groups, kernel sizes...].", Weight)
        : new QuantizedConv(Weight, Bias, new ConvGeometry(Weight.Shape[2..], Stride, Padding, null, Dilation, Groups), input, output, Engine, options);
}
