using System.Management.Automation;

namespace QuantPS.Abstractions;

/// <summary>Takes items of one kind from the pipeline (or several at once by -InputObject), each with its own error.</summary>
public abstract class PipelineCmdlet<T> : QuantCmdlet where T : class
{
    /// <summary>The items.</summary>
    [Parameter(Mandatory = true, ValueFromPipeline = true)]
    [ValidateNotNull]
    public virtual T[] InputObject { get; set; } = [];

    /// <summary>Handles one item. Exceptions become non-terminating errors about it.</summary>
    protected abstract void ProcessItem(T item);

    /// <inheritdoc/>
    protected sealed override void Process()
    {
        foreach (T item in InputObject)
        {
            Cancellation.ThrowIfCancellationRequested();
            Guard(() => ProcessItem(item), item);
        }
    }
}
