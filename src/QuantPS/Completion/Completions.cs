using System.Management.Automation;

namespace QuantPS.Completion;

/// <summary>What completers share.</summary>
public static class Completions
{
    /// <summary>The names that begin with what was typed (quotes aside), each once; quoted where they need it.</summary>
    public static IEnumerable<CompletionResult> Matching(IEnumerable<string> names, string wordToComplete)
    {
        string typed = wordToComplete.Trim('\'', '"');
        return names
            .Distinct(StringComparer.OrdinalIgnoreCase)
            .Where(n => n.StartsWith(typed, StringComparison.OrdinalIgnoreCase))
            .Select(n => new CompletionResult(n.Contains(' ', StringComparison.Ordinal) ? $"'{n}'" : n, n, CompletionResultType.ParameterValue, n));
    }
}
