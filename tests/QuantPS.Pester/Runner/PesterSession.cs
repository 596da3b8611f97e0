using System.Collections;
using System.Collections.Concurrent;
using System.Management.Automation;
using System.Management.Automation.Runspaces;

namespace QuantPS.Pester.Runner;

/// <summary>
/// The state of one file: the phase, the block being discovered, and how a script block is run in which scope. The commands
/// (Describe, It, ...) find it by their runspace.
/// </summary>
internal sealed class PesterSession
{
    private static readonly ConcurrentDictionary<Guid, PesterSession> Sessions = new();

    // A terminating error leaves a script block only through a try: without one the engine would show it and go on with the
    // next statement, and a failed assertion would be forgotten. What is written to the error stream comes back as output.
    private static readonly ScriptBlock DotSource = ScriptBlock.Create("try { . $args[0] 2>&1 } catch { throw }");
    private static readonly ScriptBlock InNewScope = ScriptBlock.Create("$args[0].Invoke()");

    private readonly Guid runspaceId;
    private Action<PSCmdlet>? phase;

    public PesterSession(Runspace runspace)
    {
        runspaceId = runspace.InstanceId;
        Sessions[runspaceId] = this;
    }

    /// <summary>The session of the runspace that calls.</summary>
    public static PesterSession Current => Sessions[Runspace.DefaultRunspace.InstanceId];

    /// <summary>The block whose body is being run in the discovery phase; null in the run phase.</summary>
    public TestBlock? Discovering { get; set; }

    /// <summary>The test that runs; null outside of an It.</summary>
    public TestItem? Running { get; set; }

    /// <summary>What wrote to the error stream since the list was last emptied.</summary>
    public List<ErrorRecord> Errors { get; } = [];

    /// <summary>The error of an exception as a script's catch has it in <c>$_</c>; null where the exception is none of the engine's.</summary>
    public static ErrorRecord? ErrorOf(Exception exception)
    {
        ErrorRecord? record = (exception as IContainsErrorRecord)?.ErrorRecord;
        if (record is null || exception is CmdletInvocationException)
            return record;
        return record.Exception is ParentContainsErrorRecordException ? new ErrorRecord(record, exception) : record;
    }

    /// <summary>Runs a phase inside of a pipeline of the runspace.</summary>
    public void Run(Func<Command, bool> runner, Action<PSCmdlet> action)
    {
        phase = action;
        runner(new Command(PhaseCommand.Name));
    }

    /// <summary>What <see cref="PhaseCommand"/> does.</summary>
    public void RunPhase(PSCmdlet cmdlet) => phase!(cmdlet);

    public void Close() => Sessions.TryRemove(runspaceId, out _);

    /// <summary>Runs <paramref name="action"/> in a new scope that holds the data of a -ForEach item.</summary>
    /// <exception cref="Exception">What the action throws.</exception>
    public static void Scope(PSCmdlet cmdlet, bool hasData, object? data, Action action)
    {
        Exception? failure = null;
        void Body()
        {
            try
            {
                if (hasData)
                    SetData(cmdlet, data);
                action();
            }
            catch (Exception e)
            {
                // Not through the script: it would come out wrapped as a method that failed.
                failure = e;
            }
        }

        cmdlet.InvokeCommand.InvokeScript(useLocalScope: true, InNewScope, null, (Action)Body);
        if (failure is not null)
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(failure);
    }

    /// <summary>Runs a script block in the current scope; what it writes to the error stream is kept.</summary>
    public void Dot(PSCmdlet cmdlet, ScriptBlock block)
    {
        foreach (PSObject output in cmdlet.InvokeCommand.InvokeScript(useLocalScope: false, DotSource, null, block))
        {
            if (output?.BaseObject is ErrorRecord error)
                Errors.Add(error);
        }
    }

    private static void SetData(PSCmdlet cmdlet, object? data)
    {
        PSVariableIntrinsics variables = cmdlet.SessionState.PSVariable;
        variables.Set("_", data);
        if ((data is PSObject wrapped ? wrapped.BaseObject : data) is IDictionary table)
        {
            foreach (DictionaryEntry entry in table)
                variables.Set(entry.Key.ToString()!, entry.Value);
        }
    }
}

/// <summary>Gives the runner a place inside of a pipeline.</summary>
[Cmdlet("Invoke", "PesterPhase")]
internal sealed class PhaseCommand : PSCmdlet
{
    public const string Name = "Invoke-PesterPhase";

    protected override void EndProcessing() => PesterSession.Current.RunPhase(this);
}
