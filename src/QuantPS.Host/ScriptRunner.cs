using System.Management.Automation;
using System.Management.Automation.Language;
using System.Management.Automation.Runspaces;

namespace QuantPS.Host;

/// <summary>A runspace with a console around it: runs script files and texts, one after another, and gives exit codes.</summary>
public sealed class ScriptRunner : IDisposable
{
    private const string Succeeded = "HostCommandSucceeded";

    private readonly ConsoleHost host;
    private readonly Lock gate = new();
    private CancellationTokenSource interruption = new();
    private Pipeline? running;

    /// <summary>Opens a runspace.</summary>
    /// <param name="terminal">Where it reads and writes.</param>
    /// <param name="state">Its commands, providers and variables; by default <see cref="SessionState"/>.</param>
    public ScriptRunner(Terminal terminal, InitialSessionState? state = null)
    {
        host = new ConsoleHost(terminal);
        Runspace = RunspaceFactory.CreateRunspace(host, state ?? SessionState());
        Runspace.ThreadOptions = PSThreadOptions.UseCurrentThread;
        Runspace.Open();
        Runspace.DefaultRunspace = Runspace;
        Runspace.SessionStateProxy.Path.SetLocation(WildcardPattern.Escape(Environment.CurrentDirectory));
    }

    /// <summary>The runspace, for those who embed the host.</summary>
    public Runspace Runspace { get; }

    /// <summary>The error that ended the last run; null where it ran to its end.</summary>
    public Exception? LastFailure { get; private set; }

    /// <summary>The engine's core commands and the three formatting commands whose implementation it has.</summary>
    public static InitialSessionState SessionState()
    {
        var state = InitialSessionState.CreateDefault2();
        if (OperatingSystem.IsWindows())
            state.ExecutionPolicy = Microsoft.PowerShell.ExecutionPolicy.Bypass;
        state.Commands.Add(new SessionStateCmdletEntry("Format-Table", typeof(FormatTableCommand), null));
        state.Commands.Add(new SessionStateCmdletEntry("Format-List", typeof(FormatListCommand), null));
        state.Commands.Add(new SessionStateCmdletEntry("Out-Console", typeof(OutConsoleCommand), null));
        state.Commands.Add(new SessionStateCmdletEntry("Out-String", typeof(OutStringCommand), null));
        return state;
    }

    /// <summary>Runs a script file; its arguments as on a command line. Returns the exit code.</summary>
    public int RunFile(string path, IReadOnlyList<string> arguments)
    {
        string full = Path.GetFullPath(path);
        if (!File.Exists(full) && File.Exists(full + ".ps1"))
            full += ".ps1";
        if (!File.Exists(full))
            return Refuse($"The script '{path}' does not exist. Check the spelling, or pass a text with -Command.");
        if (!full.EndsWith(".ps1", StringComparison.OrdinalIgnoreCase))
            return Refuse($"'{path}' is not a script: its name has to end with '.ps1'.");

        // The parser's own message shows the line; asking the engine for the parameters of a broken script would not.
        Parser.ParseFile(full, out _, out ParseError[] errors);
        if (errors.Length > 0)
        {
            Report(new ParseException(errors));
            return ExitCodes.Failure;
        }

        var parameters = new Dictionary<string, ParameterMetadata>();
        if (arguments.Count > 0 && Runspace.SessionStateProxy.InvokeCommand.GetCommand(full, CommandTypes.ExternalScript) is { } script)
            parameters = script.Parameters ?? parameters;
        var command = new Command(full, isScript: false, useLocalScope: false);
        foreach (CommandParameter argument in ScriptArguments.Bind(arguments, parameters))
            command.Parameters.Add(argument);
        EngineInternals.LetScriptsExitTheHost(Runspace);
        return Run(command) ? host.ExitCode ?? ExitCodes.Success : ExitCode();
    }

    /// <summary>Runs a text; further words are appended to it, as pwsh does. Returns the exit code: 1 where the last command failed.</summary>
    public int RunCommand(string text, IReadOnlyList<string>? more = null)
    {
        if (more?.Count > 0)
            text = text + ' ' + string.Join(' ', more);

        // $? is reset when the pipeline ends, so the text itself has to keep it.
        Runspace.SessionStateProxy.SetVariable(Succeeded, true);
        ScriptBlockAst ast = Parser.ParseInput(text, out _, out ParseError[] errors);
        if (errors.Length == 0 && ast.EndBlock?.Unnamed == true)
            text += $"\n${Succeeded} = $?";
        if (!Run(new Command(text, isScript: true, useLocalScope: false)))
            return ExitCode();
        return host.ExitCode ?? (Runspace.SessionStateProxy.GetVariable(Succeeded) is false ? ExitCodes.Failure : ExitCodes.Success);
    }

    /// <summary>Reads commands from the terminal until <c>exit</c> or the end of the input.</summary>
    public int RunInteractive()
    {
        var pending = "";
        while (host.ExitCode is null)
        {
            host.Console.Write(pending.Length == 0 ? $"PS {Runspace.SessionStateProxy.Path.CurrentLocation}> " : ">> ");
            string? line;
            try
            {
                line = host.Console.ReadLineOrNull();
            }
            catch (PipelineStoppedException)
            {
                host.Console.WriteLine("");
                pending = "";
                ResetInterruption();
                continue;
            }

            if (line is null)
                break;
            pending = pending.Length == 0 ? line : pending + '\n' + line;
            Parser.ParseInput(pending, out _, out ParseError[] errors);
            if (line.Length > 0 && errors.Any(e => e.IncompleteInput))
                continue;
            string text = pending;
            pending = "";
            if (!string.IsNullOrWhiteSpace(text))
                Run(new Command(text, isScript: true, useLocalScope: false));
        }

        return host.ExitCode ?? ExitCodes.Success;
    }

    /// <summary>Stops what is running; safe from any thread, and does not wait.</summary>
    public void Stop()
    {
        lock (gate)
        {
            interruption.Cancel();
            running?.StopAsync();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        host.Console.EndProgress();
        Runspace.Dispose();
        interruption.Dispose();
    }

    /// <summary>Runs one command with its output, errors included and in order, going to Out-Default. False: it failed or was stopped.</summary>
    public bool Run(Command command)
    {
        LastFailure = null;
        ResetInterruption();
        using Pipeline pipeline = Runspace.CreatePipeline();
        pipeline.Commands.Add(command);
        pipeline.Commands.Add(Outputter());
        lock (gate)
            running = pipeline;
        try
        {
            pipeline.Invoke();
            if (pipeline.PipelineStateInfo.State == PipelineState.Stopped)
                LastFailure = new PipelineStoppedException();
            return LastFailure is null;
        }
        catch (Exception e) when (e is RuntimeException or InvalidOperationException)
        {
            LastFailure = e;
            host.Console.EndProgress();
            if (e is not PipelineStoppedException)
                Report(e);
            return false;
        }
        finally
        {
            lock (gate)
                running = null;
            host.Console.EndProgress();
        }
    }

    private static Command Outputter()
    {
        var outputter = new Command("Out-Console");
        outputter.MergeUnclaimedPreviousCommandResults = PipelineResultTypes.Output | PipelineResultTypes.Error;
        return outputter;
    }

    private int ExitCode() => LastFailure is PipelineStoppedException ? ExitCodes.Interrupted : host.ExitCode ?? ExitCodes.Failure;

    private int Refuse(string message)
    {
        host.Console.WriteErrorLine(message);
        return ExitCodes.BadCommandLine;
    }

    private void ResetInterruption()
    {
        lock (gate)
        {
            if (interruption.IsCancellationRequested)
            {
                interruption.Dispose();
                interruption = new CancellationTokenSource();
            }

            host.Interruption = interruption.Token;
        }
    }

    /// <summary>Shows an error that ended a run the way the engine shows any other.</summary>
    private void Report(Exception exception)
    {
        ErrorRecord record = (exception as IContainsErrorRecord)?.ErrorRecord
            ?? new ErrorRecord(exception, "QuantPS.Host", ErrorCategory.NotSpecified, null);
        var error = new PSObject(record);
        EngineInternals.MarkAsError(error);
        try
        {
            using Pipeline pipeline = Runspace.CreatePipeline();
            pipeline.Commands.Add(Outputter());
            pipeline.Input.Write(error);
            pipeline.Input.Close();
            pipeline.Invoke();
        }
        catch (RuntimeException)
        {
            // A format view that fails must not hide the error.
            host.Console.WriteErrorLine(exception.Message);
        }
    }
}
