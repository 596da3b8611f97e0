using System.Management.Automation;
using System.Management.Automation.Language;
using System.Management.Automation.Runspaces;
using System.Text;
using QuantPS.Host;

namespace QuantPS.Pester.Runner;

/// <summary>A test of a file, as the suite reports it.</summary>
/// <param name="Index">Position in the file; -1 for a file that cannot be run, whose only test this is.</param>
/// <param name="Name">Blocks and test, joined with points.</param>
/// <param name="Tags">The tags of the It.</param>
public sealed record DiscoveredTest(int Index, string Name, IReadOnlyList<string> Tags);

/// <summary>What came of a test.</summary>
public sealed record PesterResult(TestOutcome Outcome, string Message);

/// <summary>One *.Tests.ps1 in a runspace of its own: discovery first, then, once, the run.</summary>
public sealed class PesterFile
{
    private const int FileIndex = -1;

    private readonly string path;
    private readonly StringWriter shown = new();
    private readonly ScriptRunner runner;
    private readonly PesterSession session;
    private readonly List<TestItem> tests = [];
    private readonly TestBlock root = new("", null, null, hasData: false, skip: false);
    private string? broken;
    private bool hasRun;

    /// <summary>Discovers the tests of a file.</summary>
    public PesterFile(string path)
    {
        this.path = Path.GetFullPath(path);
        runner = new ScriptRunner(new Terminal { Out = shown, Error = shown, In = TextReader.Null }, SessionState());
        session = new PesterSession(runner.Runspace);
        broken = "The discovery broke off.";
        session.Run(runner.Run, Discover);
    }

    /// <summary>The tests in the order of the file; a file that is broken has one, which fails.</summary>
    public IReadOnlyList<DiscoveredTest> Tests => broken is not null
        ? [new DiscoveredTest(FileIndex, Path.GetFileName(path), [])]
        : [.. tests.Select((t, i) => new DiscoveredTest(i, t.FullName, t.Tags))];

    /// <summary>The result of a test; the first question runs the file.</summary>
    public PesterResult Result(int index)
    {
        if (broken is null && !hasRun)
        {
            hasRun = true;
            session.Run(runner.Run, Run);
            session.Close();
            runner.Dispose();
        }

        if (broken is not null)
            return new PesterResult(TestOutcome.Failed, broken);
        return index >= 0 && index < tests.Count
            ? new PesterResult(tests[index].Outcome, tests[index].Message)
            : new PesterResult(TestOutcome.Failed, $"The file had a test number {index} when it was discovered, and has {tests.Count} tests now.");
    }

    private static InitialSessionState SessionState()
    {
        InitialSessionState state = ScriptRunner.SessionState();
        void Add(Type type, string name, params string[] aliases)
        {
            state.Commands.Add(new SessionStateCmdletEntry(name, type, null));
            foreach (string alias in aliases)
                state.Commands.Add(new SessionStateAliasEntry(alias, name));
        }

        Add(typeof(PhaseCommand), PhaseCommand.Name);
        Add(typeof(DescribeCommand), "Pester-Describe", "Describe", "Context");
        Add(typeof(ItCommand), "Pester-It", "It");
        Add(typeof(SetupCommand), "Pester-Setup", SetupKinds.All);
        Add(typeof(BeforeDiscoveryCommand), "Pester-BeforeDiscovery", "BeforeDiscovery");
        Add(typeof(ShouldCommand), "Pester-Should", "Should");
        Add(typeof(SetItResultCommand), "Set-ItResult");
        return state;
    }

    private void Discover(PSCmdlet cmdlet)
    {
        try
        {
            ScriptBlockAst ast = Parser.ParseFile(path, out _, out ParseError[] errors);
            if (errors.Length > 0)
                throw new ParseException(errors);
            session.Discovering = root;
            PesterSession.Scope(cmdlet, hasData: false, null, () => session.Dot(cmdlet, ast.GetScriptBlock()));
            session.Discovering = null;
            tests.AddRange(root.Tests);
            string? duplicate = tests.GroupBy(t => t.FullName).FirstOrDefault(g => g.Count() > 1)?.Key;
            broken = session.Errors.Count > 0 ? "The file wrote an error during discovery. " + Describe(session.Errors[0])
                : tests.Count == 0 ? $"{path} has no It."
                : duplicate is not null ? $"{path} has more than one test named '{duplicate}'. Give -ForEach rows a template such as <name> or <_>."
                : null;
        }
        catch (Exception e) when (e is not PipelineStoppedException)
        {
            broken = "Discovery failed. " + Describe(e);
        }

        session.Errors.Clear();
    }

    private void Run(PSCmdlet cmdlet)
    {
        using var drive = new TestDrive(cmdlet);
        RunBlock(cmdlet, root, drive);
        cmdlet.SessionState.Drive.Remove("TestDrive", force: true, "global");
    }

    private void RunBlock(PSCmdlet cmdlet, TestBlock block, TestDrive drive)
    {
        var toRun = block.Tests.Where(t => !t.Skip).ToList();
        foreach (TestItem test in block.Tests.Where(t => t.Skip))
            test.SkipFor("-Skip");
        if (toRun.Count == 0)
            return;
        HashSet<string> before = drive.Snapshot();
        Guard(toRun, $"the block '{block.Name}'", () => PesterSession.Scope(cmdlet, block.HasData, block.Data, () =>
        {
            if (Guard(toRun, SetupKinds.BeforeAll, () => Dot(cmdlet, block, SetupKinds.BeforeAll)))
            {
                foreach (object child in block.Children)
                {
                    if (child is TestBlock inner)
                        RunBlock(cmdlet, inner, drive);
                    else if (child is TestItem { Skip: false } test)
                        RunTest(cmdlet, test);
                }
            }

            Guard(toRun, SetupKinds.AfterAll, () => Dot(cmdlet, block, SetupKinds.AfterAll));
        }));
        Guard(toRun, "TestDrive", () => drive.Restore(before));
    }

    private void RunTest(PSCmdlet cmdlet, TestItem test)
    {
        session.Running = test;
        shown.GetStringBuilder().Clear();
        Guard([test], "It", () => PesterSession.Scope(cmdlet, test.HasData, test.Data, () =>
        {
            bool ready = Guard([test], SetupKinds.BeforeEach, () =>
            {
                CheckName(cmdlet, test);
                foreach (TestBlock block in test.Block.Path)
                    Dot(cmdlet, block, SetupKinds.BeforeEach);
            });
            if (ready && Guard([test], "", () => session.Dot(cmdlet, test.Body)))
                test.Pass();
            foreach (TestBlock block in test.Block.Path.Reverse())
                Guard([test], SetupKinds.AfterEach, () => Dot(cmdlet, block, SetupKinds.AfterEach));
        }));
        if (test.Outcome == TestOutcome.Failed && Shown() is { Length: > 0 } output)
            test.Fail("Shown during the test:\n" + output);
        session.Running = null;
        session.Errors.Clear();
    }

    // Templates that the data does not fill can name variables of BeforeAll; what even those do not fill is a mistake.
    private static void CheckName(PSCmdlet cmdlet, TestItem test)
    {
        string name = NameTemplate.Expand(test.FullName, (string variable, out object? value) =>
        {
            PSVariable? found = cmdlet.SessionState.PSVariable.Get(variable);
            value = found?.Value;
            return found is not null;
        });
        if (NameTemplate.Unresolved(name) is { } left)
            throw new PSInvalidOperationException($"The name '{test.FullName}' has the template {left}, which no variable resolves. A literal < is written `<.");
    }

    private void Dot(PSCmdlet cmdlet, TestBlock block, string setup)
    {
        if (block.Setups.TryGetValue(setup, out ScriptBlock? script))
            session.Dot(cmdlet, script);
    }

    // Runs something for some tests: where it throws they have failed, or are skipped if that was its way to say so.
    private static bool Guard(IReadOnlyList<TestItem> concerned, string what, Action action)
    {
        try
        {
            action();
            return true;
        }
        catch (Exception e) when (e is not PipelineStoppedException)
        {
            bool skip = (e as IContainsErrorRecord)?.ErrorRecord?.FullyQualifiedErrorId
                .StartsWith(SetItResultCommand.SkippedId + ",", StringComparison.Ordinal) == true;
            string message = (what.Length > 0 && !skip ? $"{what} failed. " : "") + Describe(e);
            foreach (TestItem test in concerned)
            {
                if (skip && test.Outcome == TestOutcome.NotRun)
                    test.SkipFor(e.Message);
                else if (test.Outcome != TestOutcome.Skipped)
                    test.Fail(message);
            }

            return false;
        }
    }

    private string Shown()
    {
        var text = new StringBuilder();
        foreach (ErrorRecord error in session.Errors)
            text.AppendLine("ERROR: " + error);
        return text.Append(shown.GetStringBuilder()).ToString().Trim();
    }

    private static string Describe(Exception exception) =>
        exception is ParseException parse
            ? string.Join('\n', parse.Errors.Select(e => $"{e.Message}\nat {e.Extent.File}:{e.Extent.StartLineNumber}"))
            : PesterSession.ErrorOf(exception) is { } record ? Describe(record)
            // `exit`, `break` and `continue` leave a script block as exceptions of their own, without a message that helps.
            : $"{exception.GetType().Name}: {exception.Message}";

    private static string Describe(ErrorRecord record)
    {
        string kind = record.FullyQualifiedErrorId.StartsWith(ShouldCommand.AssertionFailedId, StringComparison.Ordinal)
            ? "" : record.Exception.GetType().Name + ": ";
        string line = record.InvocationInfo?.Line?.Trim() is { Length: > 0 } text ? $"\nat {text}" : "";
        // The frames without a file are the runner's own.
        IEnumerable<string> frames = (record.ScriptStackTrace ?? "").Split('\n').Where(f => !f.Contains("<No file>", StringComparison.Ordinal));
        return $"{kind}{record}{line}\n{string.Join('\n', frames)}".TrimEnd();
    }
}
