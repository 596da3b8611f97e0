using System.Management.Automation;
using Microsoft.PowerShell.Commands;

namespace QuantPS.Host;

/// <summary>
/// The end of every pipeline that the host runs: Out-Default, with one thing more. A table is held back until its columns are
/// known; when the script ends by <c>exit</c> or by an error, Out-Default drops what it holds, and this shows it.
/// </summary>
[Cmdlet(VerbsData.Out, "Console")]
public sealed class OutConsoleCommand : PSCmdlet, IDisposable
{
    private SteppablePipeline? pipeline;

    /// <summary>What to show; marked by the engine where it came from the error stream.</summary>
    [Parameter(ValueFromPipeline = true)]
    public PSObject? InputObject { get; set; }

    /// <inheritdoc/>
    protected override void BeginProcessing()
    {
        pipeline = EngineInternals.Steppable(typeof(OutDefaultCommand));
        pipeline.Begin(true);
    }

    /// <inheritdoc/>
    protected override void ProcessRecord() => pipeline!.Process(InputObject);

    /// <inheritdoc/>
    protected override void EndProcessing() => End();

    /// <inheritdoc/>
    protected override void StopProcessing()
    {
        // What is held back at Ctrl+C is not wanted any more.
        pipeline?.Dispose();
        pipeline = null;
    }

    /// <inheritdoc/>
    public void Dispose() => End();

    private void End()
    {
        SteppablePipeline? ending = Interlocked.Exchange(ref pipeline, null);
        try
        {
            ending?.End();
        }
        catch (PipelineStoppedException)
        {
            // Stopped while the last lines were written.
        }
        finally
        {
            ending?.Dispose();
        }
    }
}
