using System.Management.Automation;
using QuantPS.Abstractions;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Tensors;
using QuantPS.Models;
using QuantPS.Onnx.Model;

namespace QuantPS.Commands;

/// <summary>New-Conv2d: a float model of one convolution.</summary>
[Cmdlet(VerbsCommon.New, "Conv2d")]
[OutputType(typeof(QModel))]
public sealed class NewConv2dCommand : NewFloatLayerCmdlet
{
    /// <summary>Input channels.</summary>
    [Parameter(Mandatory = true, Position = 0)]
    [ValidateRange(1, int.MaxValue)]
    public int InChannels { get; set; }

    /// <summary>Output channels.</summary>
    [Parameter(Mandatory = true, Position = 1)]
    [ValidateRange(1, int.MaxValue)]
    public int OutChannels { get; set; }

    /// <summary>Height and width of the window; one number is both.</summary>
    [Parameter(Mandatory = true, Position = 2)]
    [ValidateCount(1, 2)]
    public int[] KernelSize { get; set; } = [];

    /// <summary>One number, or height and width.</summary>
    [Parameter]
    [ValidateCount(1, 2)]
    public int[] Stride { get; set; } = [1];

    /// <summary>Zeros added on each side: one number, or height and width.</summary>
    [Parameter]
    [ValidateCount(1, 2)]
    public int[] Padding { get; set; } = [0];

    /// <summary>Distance between taps: one number, or height and width.</summary>
    [Parameter]
    [ValidateCount(1, 2)]
    public int[] Dilation { get; set; } = [1];

    /// <summary>Groups of channels; as many as channels makes a depthwise convolution.</summary>
    [Parameter]
    [ValidateRange(1, int.MaxValue)]
    public int Groups { get; set; } = 1;

    /// <inheritdoc/>
    protected override OnnxModel Create()
    {
        int[] kernel = KernelSize is [int side] ? [side, side] : KernelSize;
        var geometry = new ConvGeometry(kernel, Stride, Padding, null, Dilation, Groups);
        Divides(InChannels, nameof(InChannels));
        Divides(OutChannels, nameof(OutChannels));
        int[] shape = [OutChannels, InChannels / Groups, .. kernel];
        int fanIn = TensorShape.Count(shape.AsSpan(1));
        return ModelBuilder.Conv2d(WeightTensor(shape, fanIn), BiasValues(OutChannels, fanIn), geometry, Name.Length > 0 ? Name : "conv");
    }

    private void Divides(int channels, string what)
    {
        if (channels % Groups != 0)
            throw new Engine.Errors.QuantException(Engine.Errors.ErrorIds.InvalidArgument, $"-{what} {channels} cannot be split into {Groups} groups.", channels);
    }
}
