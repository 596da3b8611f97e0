using System.Management.Automation;
using QuantPS.Abstractions;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Tensors;

namespace QuantPS.Commands;

/// <summary>Invoke-QuantizedConv: tensors through one quantized convolution, a QuantizedTensor each.</summary>
[Cmdlet(VerbsLifecycle.Invoke, "QuantizedConv")]
[OutputType(typeof(QuantizedTensor))]
public sealed class InvokeQuantizedConvCommand : LayerCmdlet<QuantizedConv>
{
    /// <inheritdoc/>
    protected override void ProcessItem(object item) => WriteObject(Target.Run(Quantized(item)));
}
