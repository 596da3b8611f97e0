namespace QuantPS.Host;

/// <summary>What the command line asks for.</summary>
public enum CommandLineAction
{
    /// <summary>Run a script file.</summary>
    File,

    /// <summary>Run a text.</summary>
    Command,

    /// <summary>Read lines from the terminal.</summary>
    Interactive,

    /// <summary>Print the usage.</summary>
    Help,

    /// <summary>Print the versions.</summary>
    Version,
}

/// <summary>The command line cannot be understood; the message says why.</summary>
public sealed class CommandLineException(string message) : Exception(message);

/// <summary>
/// The command line, read the way pwsh reads its own: options of the host come first (any case, one or two dashes, any
/// unambiguous beginning that pwsh allows), the first thing that is none is the script, and all that follows is the script's.
/// </summary>
public sealed record CommandLine(
    CommandLineAction Action, string? Text, IReadOnlyList<string> ScriptArguments, bool NonInteractive)
{
    /// <summary>The text of <c>-Help</c>.</summary>
    public const string Usage = """
        Runs a PowerShell script on the embedded engine, for machines without pwsh.

        Usage: QuantPS.Host [-NoLogo] [-NoProfile] [-NonInteractive] [-File] <script.ps1> [<arguments of the script>]
               QuantPS.Host -Command <text> [<more text>]        ('-' reads the text from standard input)
               QuantPS.Host -Help | -Version
        From the repository: dotnet run --project src/QuantPS.Host -- <script.ps1> [<arguments>]

        Arguments are bound to the script's param() block: -Name value, -Switch, -Flag:$false, by position.
        Only the engine's own commands exist (no Write-Host, no Select-Object); see src/QuantPS.Host/README.md.
        Exit code: the script's `exit N`; 1 after an uncaught error, 64 for a bad command line, 130 after Ctrl+C.

        """;

    /// <summary>Reads the arguments of the process.</summary>
    /// <exception cref="CommandLineException">An unknown option, or an option without its value.</exception>
    public static CommandLine Parse(IReadOnlyList<string> arguments)
    {
        bool nonInteractive = false;
        for (int i = 0; i < arguments.Count; i++)
        {
            string argument = arguments[i];
            if (argument.Length < 2 || argument[0] != '-')
                return new(CommandLineAction.File, argument, [.. arguments.Skip(i + 1)], nonInteractive);
            switch (argument.TrimStart('-').ToLowerInvariant())
            {
                case "nologo" or "nol" or "noprofile" or "nop" or "mta" or "sta" or "login" or "l":
                    break;
                case "noninteractive" or "noni":
                    nonInteractive = true;
                    break;
                case "executionpolicy" or "ex" or "ep" or "outputformat" or "of" or "o" or "inputformat" or "if" or "workingdirectory" or "wd":
                    // Accepted for pwsh command lines; only the folder means something here.
                    string value = Next(arguments, ref i);
                    if (argument.TrimStart('-').StartsWith('w') || argument.TrimStart('-').StartsWith('W'))
                        Directory.SetCurrentDirectory(value);
                    break;
                case "file" or "f":
                    string file = Next(arguments, ref i);
                    return new(CommandLineAction.File, file, [.. arguments.Skip(i + 1)], nonInteractive);
                case "command" or "c":
                    string text = Next(arguments, ref i);
                    return new(CommandLineAction.Command, text, [.. arguments.Skip(i + 1)], nonInteractive);
                case "version" or "v":
                    return new(CommandLineAction.Version, null, [], nonInteractive);
                case "help" or "h" or "?":
                    return new(CommandLineAction.Help, null, [], nonInteractive);
                default:
                    throw new CommandLineException($"'{argument}' is not an option of this host, and a script's name does not begin with '-'.");
            }
        }

        return new(CommandLineAction.Interactive, null, [], nonInteractive);
    }

    private static string Next(IReadOnlyList<string> arguments, ref int i) =>
        ++i < arguments.Count ? arguments[i] : throw new CommandLineException($"'{arguments[i - 1]}' needs a value after it.");
}
