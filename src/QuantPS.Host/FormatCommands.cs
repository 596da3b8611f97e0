using System.Management.Automation;
using Microsoft.PowerShell.Commands;
using Microsoft.PowerShell.Commands.Internal.Format;

namespace QuantPS.Host;

/// <summary>Format-Table: the engine has all of it but the class that carries the name.</summary>
[Cmdlet(VerbsCommon.Format, "Table")]
public sealed class FormatTableCommand : OuterFormatTableBase
{
    /// <summary>Takes the engine's table shape.</summary>
    public FormatTableCommand() => EngineInternals.SetShape(this, "Table");
}

/// <summary>Format-List: how people inspect an object.</summary>
[Cmdlet(VerbsCommon.Format, "List")]
public sealed class FormatListCommand : OuterFormatTableAndListBase
{
    /// <summary>Takes the engine's list shape.</summary>
    public FormatListCommand() => EngineInternals.SetShape(this, "List");
}

/// <summary>Out-String: what Out-Default would show, as one string or (<c>-Stream</c>) as lines.</summary>
[Cmdlet(VerbsData.Out, "String")]
[OutputType(typeof(string))]
public sealed class OutStringCommand : PSCmdlet, IDisposable
{
    private readonly StringWriter text = new() { NewLine = "\n" };
    private SteppablePipeline? pipeline;

    /// <summary>One string a line instead of one for all.</summary>
    [Parameter]
    public SwitchParameter Stream { get; set; }

    /// <summary>Columns of a line; by default the host's.</summary>
    [Parameter]
    [ValidateRange(2, int.MaxValue)]
    public int Width { get; set; }

    /// <summary>What to show.</summary>
    [Parameter(ValueFromPipeline = true)]
    public PSObject? InputObject { get; set; }

    /// <inheritdoc/>
    protected override void BeginProcessing()
    {
        int columns = Width > 0 ? Width : Host.UI.RawUI.BufferSize.Width - 1;
        pipeline = EngineInternals.Steppable(typeof(OutLineOutputCommand), EngineInternals.LineOutput(text, columns));
        pipeline.Begin(true);
    }

    /// <inheritdoc/>
    protected override void ProcessRecord() => pipeline!.Process(InputObject);

    /// <inheritdoc/>
    protected override void EndProcessing()
    {
        pipeline!.End();
        string all = text.ToString();
        if (!Stream)
        {
            WriteObject(all.ReplaceLineEndings());
            return;
        }

        foreach (string line in (all.EndsWith('\n') ? all[..^1] : all).Split('\n'))
            WriteObject(line);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        pipeline?.Dispose();
        text.Dispose();
    }
}
