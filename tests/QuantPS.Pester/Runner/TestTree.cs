using System.Management.Automation;

namespace QuantPS.Pester.Runner;

/// <summary>How a test ended.</summary>
public enum TestOutcome
{
    /// <summary>Not run: the run itself broke off. Counts as a failure.</summary>
    NotRun,

    /// <summary>Ran to its end.</summary>
    Passed,

    /// <summary>An assertion failed, or anything else threw.</summary>
    Failed,

    /// <summary>By -Skip or Set-ItResult.</summary>
    Skipped,
}

/// <summary>A Describe, a Context, or (without parent) the file.</summary>
internal sealed class TestBlock(string name, TestBlock? parent, object? data, bool hasData, bool skip)
{
    public string Name { get; } = name;

    public TestBlock? Parent { get; } = parent;

    /// <summary>The item of -ForEach.</summary>
    public object? Data { get; } = data;

    public bool HasData { get; } = hasData;

    public bool Skip { get; } = skip || parent?.Skip == true;

    /// <summary>Tests and blocks, in the order in which they are written.</summary>
    public List<object> Children { get; } = [];

    /// <summary>BeforeAll, AfterAll, BeforeEach, AfterEach: at most one of each.</summary>
    public Dictionary<string, ScriptBlock> Setups { get; } = [];

    public IEnumerable<TestItem> Tests =>
        Children.SelectMany(c => c is TestBlock block ? block.Tests : [(TestItem)c]);

    /// <summary>The blocks from the file down to this one.</summary>
    public IEnumerable<TestBlock> Path => Parent is null ? [this] : Parent.Path.Append(this);
}

/// <summary>An It, with one item of its -ForEach.</summary>
internal sealed class TestItem(string name, TestBlock block, ScriptBlock body, object? data, bool hasData, bool skip, string[] tags)
{
    public string Name { get; } = name;

    public TestBlock Block { get; } = block;

    public ScriptBlock Body { get; } = body;

    public object? Data { get; } = data;

    public bool HasData { get; } = hasData;

    public bool Skip { get; } = skip || block.Skip;

    public string[] Tags { get; } = tags;

    /// <summary>Names of the blocks and of the test, joined with points.</summary>
    public string FullName { get; } = string.Join('.', block.Path.Select(b => b.Name).Append(name).Where(n => n.Length > 0));

    public TestOutcome Outcome { get; private set; }

    /// <summary>Why it failed or was skipped.</summary>
    public string Message { get; private set; } = "The run broke off before this test.";

    public void Pass() => (Outcome, Message) = (TestOutcome.Passed, "");

    public void SkipFor(string reason) => (Outcome, Message) = (TestOutcome.Skipped, reason.Length > 0 ? reason : "skipped");

    /// <summary>Fails it; a second reason is added to the first.</summary>
    public void Fail(string message) =>
        (Outcome, Message) = (TestOutcome.Failed, Outcome == TestOutcome.Failed ? Message + "\n" + message : message);
}
