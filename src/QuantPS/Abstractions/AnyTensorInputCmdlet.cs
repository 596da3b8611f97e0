using System.Management.Automation;
using QuantPS.Completion;

namespace QuantPS.Abstractions;

/// <summary>Takes float tensors and quantized tensors from the pipeline, mixed.</summary>
public abstract class AnyTensorInputCmdlet : PipelineCmdlet<object>
{
    /// <summary>Tensors or quantized tensors.</summary>
    [Parameter(Mandatory = true, ValueFromPipeline = true)]
    [TensorOrQuantizedTensor]
    public override object[] InputObject { get => base.InputObject; set => base.InputObject = value; }
}
