using System.Management.Automation;
using QuantPS.Abstractions;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Commands;

/// <summary>New-QuantizedConvTranspose: a quantized transposed convolution from known integers and parameters; the weight is [in, out / groups, kernel...].</summary>
[Cmdlet(VerbsCommon.New, "QuantizedConvTranspose")]
[OutputType(typeof(QuantizedConvTranspose))]
public sealed class NewQuantizedConvTransposeCommand : NewLayerCmdlet
{
    /// <summary>Distance between the outputs of neighbouring inputs: one number, or one per spatial dimension.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public int[] Stride { get; set; } = [1];

    /// <summary>Rows and columns cut off the output on each side.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public int[] Padding { get; set; } = [0];

    /// <summary>Rows and columns added behind the last output.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public int[] OutputPadding { get; set; } = [0];

    /// <summary>Distance between taps.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public int[] Dilation { get; set; } = [1];

    /// <summary>Groups of channels.</summary>
    [Parameter]
    public int Groups { get; set; } = 1;

    /// <inheritdoc/>
    protected override QuantizedWeightLayer Create(QParams input, QParams output, LayerOptions options) => Weight.Rank < 3
        ? throw new QuantException(ErrorIds.ShapeMismatch, $"The weight [{TensorShape.Format(Weight.Dims)}] must be [input channels, output channels / groups, kernel sizes...].", Weight)
        : new QuantizedConvTranspose(Weight, Bias, new ConvTransposeGeometry(Weight.Shape[2..], Stride, Padding, OutputPadding, Dilation, Groups), input, output, Engine, options);
}
