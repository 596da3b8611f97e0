using System.Management.Automation;
using System.Management.Automation.Runspaces;
using System.Reflection;

namespace QuantPS.Host;

/// <summary>
/// The few members of the engine that pwsh's own host uses and that are not public. The engine's version is pinned, and a
/// missing member fails loudly.
/// </summary>
internal static class EngineInternals
{
    private const BindingFlags Any = BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic;
    private const string Formatting = "Microsoft.PowerShell.Commands.Internal.Format.";

    /// <summary>Lets <c>exit N</c> of a script file reach the host; otherwise it only ends the file, as for a script called by another.</summary>
    public static void LetScriptsExitTheHost(Runspace runspace)
    {
        object context = Property(runspace, "ExecutionContext").GetValue(runspace)!;
        Property(context, "ScriptCommandProcessorShouldRethrowExit").SetValue(context, true);
    }

    /// <summary>Marks an object as one of the error stream, so that Out-Default writes it there.</summary>
    public static void MarkAsError(PSObject error)
    {
        PropertyInfo stream = Property(error, "WriteStream");
        stream.SetValue(error, Enum.Parse(stream.PropertyType, "Error"));
    }

    /// <summary>Gives a formatting command of ours the engine's implementation of a shape (Table, List).</summary>
    public static void SetShape(PSCmdlet command, string shape)
    {
        object value = Enum.Parse(EngineType(Formatting + "FormatShape"), shape);
        FieldInfo implementation = EngineType(Formatting + "FrontEndCommandBase").GetField("implementation", Any)!;
        implementation.SetValue(command, Activator.CreateInstance(EngineType(Formatting + "InnerFormatShapeCommand"), Any, null, [value], null));
    }

    /// <summary>A sink for Out-LineOutput that writes lines to <paramref name="writer"/>.</summary>
    public static object LineOutput(TextWriter writer, int columns) =>
        Activator.CreateInstance(EngineType(Formatting + "TextWriterLineOutput"), Any, null, [writer, columns], null)!;

    /// <summary>A pipeline of one engine command, found by its type: these names can be private or redefined in the session.</summary>
    public static SteppablePipeline Steppable(Type cmdlet, object? lineOutput = null)
    {
        var command = (CmdletAttribute)cmdlet.GetCustomAttributes(typeof(CmdletAttribute), false)[0];
        var info = new CmdletInfo($"{command.VerbName}-{command.NounName}", cmdlet);
        var block = ScriptBlock.Create(lineOutput is null ? "param($command, $sink) & $command" : "param($command, $sink) & $command -LineOutput $sink");
        return block.GetSteppablePipeline(CommandOrigin.Internal, [info, lineOutput!]);
    }

    private static Type EngineType(string name) => typeof(PSObject).Assembly.GetType(name, throwOnError: true)!;

    private static PropertyInfo Property(object target, string name) =>
        target.GetType().GetProperty(name, Any) ?? throw new MissingMemberException(target.GetType().FullName, name);
}
