using System.Globalization;
using System.Management.Automation;
using System.Management.Automation.Host;

namespace QuantPS.Host;

/// <summary>The host that the engine talks to: names itself, shows things through <see cref="UI"/>, takes the exit code.</summary>
public sealed class ConsoleHost(Terminal terminal) : PSHost
{
    private readonly ConsoleHostUI ui = new(terminal);
    private readonly Guid instanceId = Guid.NewGuid();

    /// <summary>The code of <c>exit N</c>, or null as long as nothing called it.</summary>
    public int? ExitCode { get; internal set; }

    /// <summary>Signalled by Ctrl+C, so that a prompt that waits for input lets go.</summary>
    internal CancellationToken Interruption
    {
        set => ui.Interruption = value;
    }

    internal ConsoleHostUI Console => ui;

    /// <inheritdoc/>
    public override string Name => "QuantPS.Host";

    /// <inheritdoc/>
    public override Version Version { get; } = typeof(ConsoleHost).Assembly.GetName().Version!;

    /// <inheritdoc/>
    public override Guid InstanceId => instanceId;

    /// <inheritdoc/>
    public override PSHostUserInterface UI => ui;

    /// <inheritdoc/>
    public override CultureInfo CurrentCulture => CultureInfo.CurrentCulture;

    /// <inheritdoc/>
    public override CultureInfo CurrentUICulture => CultureInfo.CurrentUICulture;

    /// <inheritdoc/>
    public override void SetShouldExit(int exitCode) => ExitCode ??= exitCode;

    /// <inheritdoc/>
    public override void EnterNestedPrompt() => throw new PSNotSupportedException("This host has no nested prompt.");

    /// <inheritdoc/>
    public override void ExitNestedPrompt() => throw new PSNotSupportedException("This host has no nested prompt.");

    /// <inheritdoc/>
    public override void NotifyBeginApplication() => ui.ClearProgress();

    /// <inheritdoc/>
    public override void NotifyEndApplication()
    {
    }
}
