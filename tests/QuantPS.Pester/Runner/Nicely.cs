using System.Collections;
using System.Management.Automation;

namespace QuantPS.Pester.Runner;

/// <summary>Values in messages, written as Pester writes them.</summary>
internal static class Nicely
{
    private const int Limit = 10;

    public static string Format(object? value)
    {
        object? raw = Comparison.Unwrap(value);
        return raw switch
        {
            null => "$null",
            bool b => b ? "$true" : "$false",
            "" => "<empty>",
            string s => $"'{s}'",
            DateTime date => date.ToString("o"),
            Type type => $"[{type}]",
            ScriptBlock block => $"{{{block}}}",
            IDictionary => LanguagePrimitives.ConvertTo<string>(value),
            IEnumerable items => Collection(items),
            _ => LanguagePrimitives.ConvertTo<string>(value),
        };
    }

    /// <summary>" because x," or nothing.</summary>
    public static string Because(string? because) => string.IsNullOrWhiteSpace(because)
        ? "" : $" because {(because.StartsWith("because ", StringComparison.OrdinalIgnoreCase) ? because[8..] : because)},";

    /// <summary>Where and how two strings differ.</summary>
    public static string Difference(string expected, string actual, bool caseSensitive, string because)
    {
        int at = 0;
        while (at < expected.Length && at < actual.Length && Same(expected[at], actual[at], caseSensitive))
            at++;
        string lengths = expected.Length == actual.Length
            ? $"String lengths are both {expected.Length}."
            : $"Expected length: {expected.Length}\nActual length:   {actual.Length}";
        return $"Expected strings to be the same,{because} but they were different.\n{lengths}\nStrings differ at index {at}.\n"
            + $"Expected: '{Excerpt(expected, at)}'\nBut was:  '{Excerpt(actual, at)}'";
    }

    private static bool Same(char a, char b, bool caseSensitive) =>
        a == b || (!caseSensitive && char.ToUpperInvariant(a) == char.ToUpperInvariant(b));

    private static string Excerpt(string text, int at)
    {
        int start = Math.Max(0, at - 40), end = Math.Min(text.Length, at + 60);
        string part = text[start..end].Replace("\r", "\\r", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);
        return (start > 0 ? "..." : "") + part + (end < text.Length ? "..." : "");
    }

    private static string Collection(IEnumerable items)
    {
        var all = items.Cast<object?>().ToList();
        string more = all.Count > Limit ? $", ...{all.Count - Limit} more" : "";
        return $"@({string.Join(", ", all.Take(Limit).Select(Format))}{more})";
    }
}
