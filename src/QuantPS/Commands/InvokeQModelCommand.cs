using System.Management.Automation;
using QuantPS.Abstractions;
using QuantPS.Engine.Tensors;

namespace QuantPS.Commands;

/// <summary>Invoke-QModel: tensors through a model, a Tensor per output, or a QuantizedTensor where the model itself gives integers.</summary>
[Cmdlet(VerbsLifecycle.Invoke, "QModel")]
[OutputType(typeof(Tensor), typeof(QuantizedTensor))]
public sealed class InvokeQModelCommand : ModelRunCmdlet
{
    /// <inheritdoc/>
    protected override string Activity => "Running";

    /// <inheritdoc/>
    protected override void ProcessItem(Tensor item)
    {
        WriteObject(RunAnyType(item), enumerateCollection: true);
        Advance(item);
    }
}
