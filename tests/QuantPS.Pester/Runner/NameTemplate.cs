using System.Management.Automation;
using System.Text.RegularExpressions;

namespace QuantPS.Pester.Runner;

/// <summary>Fills <c>&lt;name&gt;</c>, <c>&lt;_&gt;</c>, <c>&lt;a.b&gt;</c> and <c>&lt;a[0]&gt;</c> in names.</summary>
internal static partial class NameTemplate
{
    /// <summary>Finds a variable.</summary>
    public delegate bool Lookup(string name, out object? value);

    /// <summary>The name with every template filled in whose variable <paramref name="lookup"/> knows.</summary>
    public static string Expand(string name, Lookup lookup) => Template().Replace(name, match =>
    {
        if (!lookup(match.Groups[1].Value, out object? value))
            return match.Value;
        if (match.Groups[2].Length > 0)
            value = ScriptBlock.Create("$args[0]" + match.Groups[2].Value).InvokeReturnAsIs(value);
        return value is null ? "$null" : LanguagePrimitives.ConvertTo<string>(value);
    });

    /// <summary>The first template that is left, or null.</summary>
    public static string? Unresolved(string name) => Template().Match(name) is { Success: true } match ? match.Value : null;

    [GeneratedRegex(@"(?<!`)<(_|[A-Za-z]\w*)((?:\.\w+|\[-?\d+\])*)>")]
    private static partial Regex Template();
}
