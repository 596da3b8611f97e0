using System.Management.Automation;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Tensors;

namespace QuantPS.Abstractions;

/// <summary>Puts tensors through one quantized layer, named by -Layer.</summary>
/// <typeparam name="TLayer">The kind of layer that is wanted.</typeparam>
public abstract class LayerCmdlet<TLayer> : AnyTensorInputCmdlet where TLayer : QuantizedWeightLayer
{
    /// <summary>A quantized layer, a row of Get-QLayer that is one, or a QuantizedModel that holds exactly one.</summary>
    [Parameter(Mandatory = true, Position = 0)]
    [ValidateNotNull]
    public object Layer { get; set; } = null!;

    /// <summary>The layer that -Layer names.</summary>
    protected TLayer Target { get; private set; } = null!;

    /// <inheritdoc/>
    protected override void Begin()
    {
        object given = Layer is PSObject wrapped ? wrapped.BaseObject : Layer;
        Target = given switch
        {
            TLayer layer => layer,
            ILayerSource source => Single(source),
            _ => throw new QuantException(ErrorIds.NotASingleLayer, $"-Layer takes a {Kind}, or a QuantizedModel that holds exactly one; this is {given.GetType().Name}. New-QuantizedConv, New-QuantizedLinear and ConvertTo-Quantized make layers, Get-QLayer lists those of a model.", given),
        };
        WriteVerbose($"{Target}: kernel {Target.KernelName}");
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
        return Target.QuantizeInput(tensor);
    }

    private static string Kind => typeof(TLayer) == typeof(QuantizedWeightLayer) ? "quantized layer" : typeof(TLayer).Name;

    private static TLayer Single(ILayerSource source)
    {
        TLayer[] layers = [.. source.QuantizedLayers.OfType<TLayer>()];
        return layers.Length == 1
            ? layers[0]
            : throw new QuantException(ErrorIds.NotASingleLayer, $"'{source.Name}' holds {layers.Length} of the kind {Kind} ({string.Join(", ", layers.Select(l => l.Name))}). Choose one: -Layer (Get-QLayer -Name ...).", source);
    }
}
