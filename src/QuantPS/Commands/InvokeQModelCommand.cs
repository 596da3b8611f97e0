using System.Management.Automation;
using QuantPS.Abstractions;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;

namespace QuantPS.Commands;

/// <summary>Invoke-QModel: tensors through a model, a Tensor per output, or a QuantizedTensor where the model itself gives integers.</summary>
[Cmdlet(VerbsLifecycle.Invoke, "QModel")]
[OutputType(typeof(Tensor), typeof(QuantizedTensor))]
public sealed class InvokeQModelCommand : ModelRunCmdlet
{
    /// <inheritdoc/>
    protected override string Activity => "Running";

    /// <inheritdoc/>
    internal override void ProcessSample(ModelSample sample)
    {
        WriteObject(RunAnyType(sample), enumerateCollection: true);
        Advance(sample);
    }
}
