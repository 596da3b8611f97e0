using System.Management.Automation;
using QuantPS.Engine.Errors;
using QuantPS.Errors;

namespace QuantPS.Abstractions;

/// <summary>Base of every cmdlet: cancellation, and exceptions to error records.</summary>
/// <remarks>A leaf overrides <see cref="Begin"/>, <see cref="Process"/>, <see cref="End"/> and throws <see cref="QuantException"/>. What Begin throws
/// terminates (no later record can succeed); what Process and End throw is one bad record and the pipeline goes on. Inside Process, a loop
/// over several items puts each through <see cref="Guard"/>.</remarks>
public abstract class QuantCmdlet : PSCmdlet, IDisposable
{
    private readonly CancellationTokenSource stopping = new();

    /// <summary>Set by Ctrl+C and by everything else that stops the pipeline. Long work asks it at least every 100 ms.</summary>
    protected CancellationToken Cancellation => stopping.Token;

    /// <summary>Before the first record: check and open what every record needs. Errors terminate.</summary>
    protected virtual void Begin()
    {
    }

    /// <summary>One record.</summary>
    protected virtual void Process()
    {
    }

    /// <summary>After the last record.</summary>
    protected virtual void End()
    {
    }

    /// <inheritdoc/>
    protected sealed override void BeginProcessing()
    {
        try
        {
            Begin();
        }
        catch (Exception e) when (IsOurs(e))
        {
            ThrowTerminatingError(ErrorRecords.From(Stopped(e)));
        }
    }

    /// <inheritdoc/>
    protected sealed override void ProcessRecord() => Guard(Process, CurrentItem);

    /// <inheritdoc/>
    protected sealed override void EndProcessing() => Guard(End, null);

    /// <inheritdoc/>
    protected override void StopProcessing() => stopping.Cancel();

    /// <summary>What an error is about when the exception does not say: the record at hand.</summary>
    protected virtual object? CurrentItem => null;

    /// <summary>Runs work for one item; an exception becomes a non-terminating error about it.</summary>
    protected void Guard(Action work, object? item)
    {
        try
        {
            work();
        }
        catch (Exception e) when (IsOurs(e))
        {
            WriteError(ErrorRecords.From(Stopped(e), item));
        }
    }

    /// <summary>Ends the command: for what makes every later record impossible.</summary>
    protected void Terminate(Exception error, object? item = null) => ThrowTerminatingError(ErrorRecords.From(error, item));

    /// <summary>PowerShell's own control flow (stop, break, Select-Object -First, -ErrorAction Stop) passes through untouched.</summary>
    private static bool IsOurs(Exception e) => e is not (FlowControlException or IContainsErrorRecord);

    /// <summary>A cancellation that we asked for is a stopped pipeline, not an error.</summary>
    private Exception Stopped(Exception e) => e is OperationCanceledException && stopping.IsCancellationRequested ? throw new PipelineStoppedException() : e;

    /// <summary>Called by PowerShell when the pipeline is over, whatever its end.</summary>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Releases what a leaf holds open.</summary>
    protected virtual void Dispose(bool disposing)
    {
        if (disposing)
            stopping.Dispose();
    }
}
