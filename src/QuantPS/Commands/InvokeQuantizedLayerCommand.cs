using System.Management.Automation;
using QuantPS.Abstractions;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Tensors;

namespace QuantPS.Commands;

/// <summary>Invoke-QuantizedLayer: tensors through one quantized layer of any kind (conv, linear, transposed conv), a QuantizedTensor each.</summary>
[Cmdlet(VerbsLifecycle.Invoke, "QuantizedLayer")]
[OutputType(typeof(QuantizedTensor))]
public sealed class InvokeQuantizedLayerCommand : LayerCmdlet<QuantizedWeightLayer>
{
    /// <inheritdoc/>
    protected override void ProcessItem(object item) => WriteObject(Target.Run(Quantized(item)));
}
