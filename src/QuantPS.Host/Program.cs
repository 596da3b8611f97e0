using System.Management.Automation;
using System.Reflection;
using System.Text;

namespace QuantPS.Host;

/// <summary>The entry point: command line in, exit code out.</summary>
public static class Program
{
    private static int Main(string[] arguments)
    {
        CommandLine commandLine;
        try
        {
            commandLine = CommandLine.Parse(arguments);
        }
        catch (CommandLineException e)
        {
            Console.Error.WriteLine(e.Message);
            Console.Error.WriteLine("Try -Help.");
            return ExitCodes.BadCommandLine;
        }

        var utf8 = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false);
        Console.OutputEncoding = utf8;
        if (Console.IsInputRedirected)
            Console.InputEncoding = utf8;

        switch (commandLine.Action)
        {
            case CommandLineAction.Help:
                Console.Out.Write(CommandLine.Usage);
                return ExitCodes.Success;
            case CommandLineAction.Version:
                Console.Out.WriteLine(
                    $"QuantPS.Host {Version(typeof(Program))}, PowerShell engine {Version(typeof(PSObject))}, .NET {Environment.Version}");
                return ExitCodes.Success;
            case CommandLineAction.Interactive when Console.IsInputRedirected:
                Console.Out.Write(CommandLine.Usage);
                return ExitCodes.BadCommandLine;
        }

        var terminal = Terminal.FromConsole(interactive: !commandLine.NonInteractive);
        PSStyle.Instance.OutputRendering = terminal.Colors ? OutputRendering.Host : OutputRendering.PlainText;
        using var runner = new ScriptRunner(terminal);
        int interrupts = 0;
        Console.CancelKeyPress += (_, e) =>
        {
            // The second one is for a script that does not listen to the first.
            e.Cancel = Interlocked.Increment(ref interrupts) == 1 || commandLine.Action == CommandLineAction.Interactive;
            runner.Stop();
        };
        return commandLine.Action switch
        {
            CommandLineAction.File => runner.RunFile(commandLine.Text!, commandLine.ScriptArguments),
            CommandLineAction.Command => runner.RunCommand(
                commandLine.Text == "-" ? Console.In.ReadToEnd() : commandLine.Text!, commandLine.ScriptArguments),
            _ => runner.RunInteractive(),
        };
    }

    private static string Version(Type type) =>
        type.Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+', ' ')[0] ?? "?";
}
