using System.Text;
using System.Text.RegularExpressions;

namespace QuantPS.Engine.Configuration;

/// <summary>Patterns against names of layers: * is any text, ? one character, [abc] or [a-z] one of a set; case does not matter, ` takes a
/// character literally.</summary>
public static class LayerPattern
{
    private const string Special = "*?[`";

    /// <summary>Whether a name matches. A pattern without wildcards matches the name that it is, brackets and all.</summary>
    public static bool Matches(string pattern, string name) =>
        pattern.Equals(name, StringComparison.OrdinalIgnoreCase) || Regex.IsMatch(name, ToRegex(pattern), RegexOptions.IgnoreCase | RegexOptions.CultureInvariant | RegexOptions.Singleline);

    /// <summary>The most specific pattern first: names before patterns, then the ones with more letters to match; the rest by their
    /// letters.</summary>
    public static int CompareSpecificity(string a, string b)
    {
        int order = Rank(b).CompareTo(Rank(a));
        return order != 0 ? order : string.CompareOrdinal(a, b);
    }

    /// <summary>The names that are most like a pattern, by edit distance, for error messages.</summary>
    public static IEnumerable<string> Nearest(string pattern, IEnumerable<string> names, int count = 3)
    {
        string letters = string.Concat(pattern.Where(c => !Special.Contains(c))).ToLowerInvariant();
        return names.Distinct(StringComparer.Ordinal).OrderBy(n => Distance(letters, n.ToLowerInvariant())).ThenBy(n => n, StringComparer.Ordinal).Take(count);
    }

    private static int Rank(string pattern) => pattern.Any(Special.Contains) ? pattern.Count(c => !Special.Contains(c)) : int.MaxValue;

    private static string ToRegex(string pattern)
    {
        StringBuilder regex = new("^");
        for (int i = 0; i < pattern.Length; i++)
        {
            int close = pattern[i] == '[' ? pattern.IndexOf(']', i + 1) : -1;
            if (close > i + 1)
            {
                regex.Append('[').Append(pattern[(i + 1)..close].Replace("\\", "\\\\", StringComparison.Ordinal).Replace("^", "\\^", StringComparison.Ordinal)).Append(']');
                i = close;
            }
            else if (pattern[i] == '`' && i + 1 < pattern.Length)
                regex.Append(Regex.Escape(pattern[++i].ToString()));
            else
                regex.Append(pattern[i] switch { '*' => ".*", '?' => ".", char c => Regex.Escape(c.ToString()) });
        }
        return regex.Append('$').ToString();
    }

    /// <summary>Levenshtein's edit distance.</summary>
    private static int Distance(string a, string b)
    {
        int[] row = [.. Enumerable.Range(0, b.Length + 1)];
        for (int i = 1; i <= a.Length; i++)
        {
            (int diagonal, row[0]) = (row[0], i);
            for (int j = 1; j <= b.Length; j++)
                (diagonal, row[j]) = (row[j], Math.Min(Math.Min(row[j], row[j - 1]) + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)));
        }
        return row[b.Length];
    }
}
