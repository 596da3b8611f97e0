using System.Collections;
using System.Management.Automation;
using QuantPS.Completion;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;

namespace QuantPS.Abstractions;

/// <summary>Takes what a model is given, a run each: float tensors from the pipeline, or hashtables with a tensor for each of several inputs.</summary>
public abstract class TensorInputCmdlet : PipelineCmdlet<object>
{
    /// <summary>A tensor for a model with one input; for one with several a hashtable, @{ name = tensor; ... }. A tensor of whole numbers fits inputs of
    /// integers too, one of 0 and 1 those of booleans.</summary>
    [Parameter(Mandatory = true, ValueFromPipeline = true)]
    [ModelInput]
    public override object[] InputObject { get => base.InputObject; set => base.InputObject = value; }

    /// <summary>Handles what is given for one run.</summary>
    internal abstract void ProcessSample(ModelSample sample);

    /// <inheritdoc/>
    protected sealed override void ProcessItem(object item) => ProcessSample(ToSample(item));

    /// <summary>A tensor or a hashtable of tensors.</summary>
    /// <exception cref="QuantException">InvalidArgument: something that is not a tensor in a hashtable.</exception>
    internal static ModelSample ToSample(object item)
    {
        if (item is Tensor only)
            return only;
        Dictionary<string, Tensor> named = new(StringComparer.Ordinal);
        foreach (DictionaryEntry entry in (IDictionary)item)
        {
            named[entry.Key.ToString()!] = (entry.Value is PSObject wrapped ? wrapped.BaseObject : entry.Value) as Tensor
                ?? throw new QuantException(ErrorIds.InvalidArgument,
                    $"'{entry.Key}' of the hashtable is {entry.Value?.GetType().Name ?? "null"}; a Tensor is wanted for every input (Import-Tensor, New-Tensor).", item);
        }
        return new ModelSample(named);
    }
}
