using System.Collections;
using System.Management.Automation;

namespace QuantPS.Pester.Runner;

/// <summary>What the commands that structure a file have in common.</summary>
internal abstract class StructureCommand : PSCmdlet
{
    protected static PesterSession Session => PesterSession.Current;

    /// <summary>The block that is being discovered.</summary>
    protected TestBlock Block => Session.Discovering
        ?? throw new PSInvalidOperationException($"{MyInvocation.InvocationName} is only allowed in the body of a Describe or Context, or in the file.");

    protected string Position => $"{MyInvocation.ScriptName}:{MyInvocation.ScriptLineNumber}";

    /// <summary>The items of -ForEach; one without data where there is no -ForEach.</summary>
    protected IEnumerable<(object? Data, bool HasData)> Items(object? forEach, bool allowEmpty)
    {
        if (!MyInvocation.BoundParameters.ContainsKey("ForEach"))
            return [(null, false)];
        List<object?> items = forEach is null ? [] : Comparison.Items(forEach);
        if (items.Count == 0 && !allowEmpty)
        {
            throw new PSArgumentException("Value can not be null or empty array. If this is expected, use -AllowNullOrEmptyForEach "
                + $"({MyInvocation.InvocationName} at {Position}).", "ForEach");
        }

        return items.Select(item => (item, true));
    }

    /// <summary>A name with its templates filled in from the data, as far as they are known before the run.</summary>
    protected string Expand(string name, TestBlock? block, object? data, bool hasData)
    {
        var known = new Dictionary<string, object?>(StringComparer.OrdinalIgnoreCase);
        IEnumerable<(bool HasData, object? Data)> sources = block?.Path.Select(b => (b.HasData, b.Data)) ?? [];
        foreach ((_, object? item) in sources.Append((hasData, data)).Where(s => s.Item1))
        {
            known["_"] = item;
            if ((item is PSObject wrapped ? wrapped.BaseObject : item) is IDictionary table)
            {
                foreach (DictionaryEntry entry in table)
                    known[entry.Key.ToString()!] = entry.Value;
            }
        }

        return NameTemplate.Expand(name, known.TryGetValue);
    }
}

/// <summary>Describe and Context.</summary>
[Cmdlet("Pester", "Describe")]
internal sealed class DescribeCommand : StructureCommand
{
    [Parameter(Mandatory = true, Position = 0)]
    public string Name { get; set; } = "";

    [Parameter(Position = 1)]
    public ScriptBlock? Fixture { get; set; }

    [Parameter]
    [Alias("Tags")]
    public string[] Tag { get; set; } = [];

    [Parameter]
    public SwitchParameter Skip { get; set; }

    [Parameter]
    public object? ForEach { get; set; }

    [Parameter]
    public SwitchParameter AllowNullOrEmptyForEach { get; set; }

    protected override void EndProcessing()
    {
        TestBlock parent = Block;
        if (Fixture is null)
            throw new PSArgumentException($"{MyInvocation.InvocationName} '{Name}' at {Position} has no script block. Is its brace on the next line?");
        foreach ((object? data, bool hasData) in Items(ForEach, AllowNullOrEmptyForEach))
        {
            var block = new TestBlock(Expand(Name, parent, data, hasData), parent, data, hasData, Skip);
            parent.Children.Add(block);
            Session.Discovering = block;
            try
            {
                PesterSession.Scope(this, hasData, data, () => Session.Dot(this, Fixture));
            }
            finally
            {
                Session.Discovering = parent;
            }

            if (!block.Tests.Any())
                throw new PSInvalidOperationException($"{MyInvocation.InvocationName} '{block.Name}' at {Position} has no It.");
        }
    }
}

/// <summary>It.</summary>
[Cmdlet("Pester", "It")]
internal sealed class ItCommand : StructureCommand
{
    [Parameter(Mandatory = true, Position = 0)]
    public string Name { get; set; } = "";

    [Parameter(Position = 1)]
    public ScriptBlock? Test { get; set; }

    [Parameter]
    [Alias("Tags")]
    public string[] Tag { get; set; } = [];

    [Parameter]
    public SwitchParameter Skip { get; set; }

    [Parameter]
    [Alias("TestCases")]
    public object? ForEach { get; set; }

    [Parameter]
    public SwitchParameter AllowNullOrEmptyForEach { get; set; }

    protected override void EndProcessing()
    {
        TestBlock block = Block;
        if (Test is null)
            throw new PSArgumentException($"It '{Name}' at {Position}: No test scriptblock is provided. Did you put the opening curly brace on the next line?");
        foreach ((object? data, bool hasData) in Items(ForEach, AllowNullOrEmptyForEach))
            block.Children.Add(new TestItem(Expand(Name, block, data, hasData), block, Test, data, hasData, Skip, Tag));
    }
}

/// <summary>BeforeAll, AfterAll, BeforeEach, AfterEach: kept for the run phase under the name by which they are called.</summary>
[Cmdlet("Pester", "Setup")]
internal sealed class SetupCommand : StructureCommand
{
    [Parameter(Mandatory = true, Position = 0)]
    public ScriptBlock? Scriptblock { get; set; }

    protected override void EndProcessing()
    {
        string kind = MyInvocation.InvocationName;
        string name = SetupKinds.All.First(k => k.Equals(kind, StringComparison.OrdinalIgnoreCase));
        if (!Block.Setups.TryAdd(name, Scriptblock!))
            throw new PSInvalidOperationException($"{name} at {Position} is already defined in this block. Each block can only have one {name}.");
    }
}

/// <summary>The four set-ups.</summary>
internal static class SetupKinds
{
    public const string BeforeAll = "BeforeAll";
    public const string AfterAll = "AfterAll";
    public const string BeforeEach = "BeforeEach";
    public const string AfterEach = "AfterEach";

    public static readonly string[] All = [BeforeAll, AfterAll, BeforeEach, AfterEach];
}

/// <summary>BeforeDiscovery: runs at once, in the scope of the block.</summary>
[Cmdlet("Pester", "BeforeDiscovery")]
internal sealed class BeforeDiscoveryCommand : StructureCommand
{
    [Parameter(Mandatory = true, Position = 0)]
    public ScriptBlock? ScriptBlock { get; set; }

    protected override void EndProcessing()
    {
        _ = Block;
        Session.Dot(this, ScriptBlock!);
    }
}

/// <summary>Set-ItResult: ends the test that calls it.</summary>
[Cmdlet("Set", "ItResult")]
internal sealed class SetItResultCommand : PSCmdlet
{
    public const string SkippedId = "PesterTestSkipped";

    [Parameter(Mandatory = true, ParameterSetName = "Skipped")]
    public SwitchParameter Skipped { get; set; }

    [Parameter(Mandatory = true, ParameterSetName = "Inconclusive")]
    public SwitchParameter Inconclusive { get; set; }

    [Parameter]
    public string? Because { get; set; }

    protected override void EndProcessing()
    {
        if (PesterSession.Current.Running is null)
            throw new PSInvalidOperationException("Set-ItResult is only allowed in an It.");
        string message = (Skipped ? "is skipped" : "is inconclusive") + (string.IsNullOrEmpty(Because) ? "" : ", because " + Because);
        ThrowTerminatingError(new ErrorRecord(new RuntimeException(message), SkippedId, ErrorCategory.InvalidResult, null));
    }
}
