using System.Management.Automation;
using System.Management.Automation.Host;
using System.Management.Automation.Internal;

namespace QuantPS.Host;

/// <summary>
/// Shows the engine's streams as pwsh does: output, warnings, verbose, debug and information on standard output, errors on
/// standard error, escape sequences only where they are understood. Prompts are in the other half of this class.
/// </summary>
public sealed partial class ConsoleHostUI(Terminal terminal) : PSHostUserInterface
{
    private readonly Lock gate = new();
    private readonly ProgressBar? progress = terminal.Progress is null ? null : new ProgressBar(terminal.Progress, () => terminal.Width);

    /// <inheritdoc/>
    public override PSHostRawUserInterface RawUI { get; } = new ConsoleHostRawUI(terminal);

    /// <inheritdoc/>
    public override bool SupportsVirtualTerminal => terminal.Colors;

    /// <inheritdoc/>
    public override void Write(string value) => Emit(terminal.Out, value, terminal.Colors, newLine: false);

    /// <inheritdoc/>
    public override void Write(ConsoleColor foregroundColor, ConsoleColor backgroundColor, string value) =>
        Emit(terminal.Out, Paint(foregroundColor, value), terminal.Colors, newLine: false);

    /// <inheritdoc/>
    public override void WriteLine(string value) => Emit(terminal.Out, value, terminal.Colors, newLine: true);

    /// <inheritdoc/>
    public override void WriteLine(ConsoleColor foregroundColor, ConsoleColor backgroundColor, string value) =>
        Emit(terminal.Out, Paint(foregroundColor, value), terminal.Colors, newLine: true);

    /// <inheritdoc/>
    public override void WriteErrorLine(string value) =>
        Emit(terminal.Error, value.Contains('\e') ? value : Style(PSStyle.Instance.Formatting.Error, value), terminal.ErrorColors, newLine: true);

    /// <inheritdoc/>
    public override void WriteWarningLine(string message) => WriteLine(Style(PSStyle.Instance.Formatting.Warning, "WARNING: " + message));

    /// <inheritdoc/>
    public override void WriteVerboseLine(string message) => WriteLine(Style(PSStyle.Instance.Formatting.Verbose, "VERBOSE: " + message));

    /// <inheritdoc/>
    public override void WriteDebugLine(string message) => WriteLine(Style(PSStyle.Instance.Formatting.Debug, "DEBUG: " + message));

    /// <inheritdoc/>
    public override void WriteInformation(InformationRecord record)
    {
        // The engine calls WriteLine for what is to be seen.
    }

    /// <inheritdoc/>
    public override void WriteProgress(long sourceId, ProgressRecord record)
    {
        lock (gate)
        {
            progress?.Update(sourceId, record);
        }
    }

    /// <summary>Takes the progress bar off the screen.</summary>
    internal void ClearProgress()
    {
        lock (gate)
        {
            progress?.Clear();
        }
    }

    /// <summary>Forgets every activity: the pipeline that reported them is over.</summary>
    internal void EndProgress()
    {
        lock (gate)
        {
            progress?.Reset();
        }
    }

    private static string Style(string style, string value) => style + value + PSStyle.Instance.Reset;

    private static string Paint(ConsoleColor color, string value) =>
        color < 0 ? value : PSStyle.Instance.Foreground.FromConsoleColor(color) + value + PSStyle.Instance.Reset;

    private void Emit(TextWriter writer, string? value, bool colors, bool newLine)
    {
        value ??= "";
        if (!colors && value.Contains('\e'))
            value = new StringDecorated(value).ToString(OutputRendering.PlainText);
        lock (gate)
        {
            progress?.Clear();
            if (newLine)
                writer.WriteLine(value);
            else
                writer.Write(value);
        }
    }
}
