using System.Management.Automation;
using System.Management.Automation.Runspaces;

namespace QuantPS.Host;

/// <summary>Turns the words of a command line into arguments of a script.</summary>
internal static class ScriptArguments
{
    /// <summary>
    /// <c>-Name value</c>, <c>-Name:value</c>, <c>-Switch</c>, <c>-Flag:$false</c> and positional values, as pwsh -File takes
    /// them. One thing more: a value for an array parameter is split at its commas, since a shell cannot write an array.
    /// </summary>
    public static IEnumerable<CommandParameter> Bind(IReadOnlyList<string> words, IReadOnlyDictionary<string, ParameterMetadata> parameters)
    {
        var named = new List<string>();
        foreach (string word in words)
        {
            if (IsName(word) && Find(parameters, NameOf(word)) is { } parameter)
                named.Add(parameter.Name);
        }

        var positional = new Queue<ParameterMetadata>(parameters.Values
            .Where(p => !named.Contains(p.Name) && PositionOf(p) >= 0).OrderBy(PositionOf));
        for (int i = 0; i < words.Count; i++)
        {
            string word = words[i];
            if (!IsName(word))
            {
                yield return new CommandParameter(null, Value(word, positional.TryDequeue(out ParameterMetadata? next) ? next : null));
                continue;
            }

            ParameterMetadata? parameter = Find(parameters, NameOf(word));
            int colon = word.IndexOf(':', StringComparison.Ordinal);
            if (colon > 0)
            {
                string text = colon + 1 < word.Length ? word[(colon + 1)..] : i + 1 < words.Count ? words[++i] : "";
                yield return new CommandParameter(word[..colon], Truth(text) ?? Value(text, parameter));
            }
            else if (parameter is not null && !parameter.SwitchParameter && i + 1 < words.Count)
            {
                yield return new CommandParameter(word, Value(words[++i], parameter));
            }
            else
            {
                yield return new CommandParameter(word);
            }
        }
    }

    private static bool IsName(string word) => word.Length > 1 && word[0] == '-' && (char.IsLetter(word[1]) || word[1] is '_' or '?');

    private static string NameOf(string word) => word[1..].Split(':')[0];

    private static ParameterMetadata? Find(IReadOnlyDictionary<string, ParameterMetadata> parameters, string name)
    {
        bool Is(string candidate) => candidate.Equals(name, StringComparison.OrdinalIgnoreCase);
        ParameterMetadata? exact = parameters.Values.FirstOrDefault(p => Is(p.Name) || p.Aliases.Any(Is));
        if (exact is not null)
            return exact;
        var begun = parameters.Values.Where(p => p.Name.StartsWith(name, StringComparison.OrdinalIgnoreCase)).Take(2).ToList();
        return begun.Count == 1 ? begun[0] : null;
    }

    private static int PositionOf(ParameterMetadata parameter) =>
        parameter.ParameterSets.Values.Select(s => s.Position).DefaultIfEmpty(int.MinValue).Max();

    private static object? Truth(string text) => text.ToUpperInvariant() switch
    {
        "$TRUE" => true,
        "$FALSE" => false,
        _ => null,
    };

    private static object Value(string text, ParameterMetadata? parameter) =>
        parameter?.ParameterType is { IsArray: true } && text.Contains(',', StringComparison.Ordinal)
            ? text.Split(',', StringSplitOptions.TrimEntries)
            : text;
}
