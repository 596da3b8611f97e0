using System.Management.Automation;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Tensors;

namespace QuantPS.Abstractions;

/// <summary>Puts tensors through one quantized convolution, named by -Layer.</summary>
public abstract class ConvLayerCmdlet : AnyTensorInputCmdlet
{
    /// <summary>A QuantizedConv, a layer of Get-QLayer that is one, or a QuantizedModel that holds exactly one.</summary>
    [Parameter(Mandatory = true, Position = 0)]
    [ValidateNotNull]
    public object Layer { get; set; } = null!;

    /// <summary>The convolution that -Layer names.</summary>
    protected QuantizedConv Conv { get; private set; } = null!;

    /// <inheritdoc/>
    protected override void Begin()
    {
        object given = Layer is PSObject wrapped ? wrapped.BaseObject : Layer;
        Conv = given switch
        {
            QuantizedConv conv => conv,
            ILayerSource source => Single(source),
            _ => throw new QuantException(ErrorIds.NotASingleLayer, $"-Layer takes a QuantizedConv, or a QuantizedModel that holds exactly one; this is {given.GetType().Name}. New-QuantizedConv and ConvertTo-Quantized make them, Get-QLayer lists those of a model.", given),
        };
        WriteVerbose($"{Conv}: kernel {Conv.KernelName}");
    }

    /// <summary>Quantizes a float tensor by the layer's own rule; a quantized one is taken as it is.</summary>
    /// <exception cref="QuantException">NotANumber, NotFinite: the tensor holds NaN or infinity.</exception>
    protected QuantizedTensor Quantized(object item)
    {
        if (item is QuantizedTensor quantized)
            return quantized;
        var tensor = (Tensor)item;
        int bad = tensor.FirstNonFinite();
        if (bad >= 0)
            throw new QuantException(float.IsNaN(tensor.Span[bad]) ? ErrorIds.NotANumber : ErrorIds.NotFinite,
                $"{tensor} holds {tensor.Span[bad]} at [{TensorShape.Format(TensorShape.Index(tensor.Dims, bad))}]; only finite numbers can be quantized.", tensor);
        return Conv.QuantizeInput(tensor);
    }

    private static QuantizedConv Single(ILayerSource source)
    {
        QuantizedConv[] convs = [.. source.QuantizedLayers.OfType<QuantizedConv>()];
        return convs.Length == 1
            ? convs[0]
            : throw new QuantException(ErrorIds.NotASingleLayer, $"'{source.Name}' holds {convs.Length} quantized convolutions ({string.Join(", ", convs.Select(c => c.Name))}). Choose one: -Layer (Get-QLayer -Name ...).", source);
    }
}
