using System.Collections.ObjectModel;
using System.Management.Automation;
using System.Management.Automation.Host;
using System.Security;

namespace QuantPS.Host;

/// <summary>The half of the user interface that asks. Answers are lines of standard input, so they can also be piped in.</summary>
public sealed partial class ConsoleHostUI
{
    /// <summary>Signalled by Ctrl+C.</summary>
    internal CancellationToken Interruption { private get; set; }

    /// <inheritdoc/>
    public override string ReadLine() => ReadLineOrNull() ?? "";

    /// <inheritdoc/>
    public override SecureString ReadLineAsSecureString()
    {
        var secure = new SecureString();
        if (terminal.IsConsole && !Console.IsInputRedirected)
        {
            for (ConsoleKeyInfo key = Console.ReadKey(intercept: true); key.Key != ConsoleKey.Enter; key = Console.ReadKey(intercept: true))
            {
                if (key.Key == ConsoleKey.Backspace && secure.Length > 0)
                    secure.RemoveAt(secure.Length - 1);
                else if (key.KeyChar >= ' ')
                    secure.AppendChar(key.KeyChar);
            }

            WriteLine("");
        }
        else
        {
            foreach (char c in ReadLine())
                secure.AppendChar(c);
        }

        secure.MakeReadOnly();
        return secure;
    }

    /// <inheritdoc/>
    public override Dictionary<string, PSObject> Prompt(string caption, string message, Collection<FieldDescription> descriptions)
    {
        Announce(caption, message);
        var answers = new Dictionary<string, PSObject>(StringComparer.OrdinalIgnoreCase);
        foreach (FieldDescription field in descriptions)
        {
            var type = LanguagePrimitives.TryConvertTo(field.ParameterAssemblyFullName, out Type found) && found is not null ? found : typeof(object);
            if (type.IsArray || field.ParameterTypeName.EndsWith("[]", StringComparison.Ordinal))
            {
                var items = new List<string>();
                while (true)
                {
                    Write($"{field.Name}[{items.Count}]: ");
                    if (ReadLineOrNull() is not { Length: > 0 } item)
                        break;
                    items.Add(item);
                }

                answers[field.Name] = PSObject.AsPSObject(items.ToArray());
            }
            else
            {
                Write(field.Name + ": ");
                answers[field.Name] = string.Equals(field.ParameterTypeName, nameof(SecureString), StringComparison.OrdinalIgnoreCase)
                    ? PSObject.AsPSObject(ReadLineAsSecureString())
                    : PSObject.AsPSObject(RequireLine($"a value for {field.Name}"));
            }
        }

        return answers;
    }

    /// <inheritdoc/>
    public override int PromptForChoice(string caption, string message, Collection<ChoiceDescription> choices, int defaultChoice)
    {
        Announce(caption, message);
        var keys = choices.Select(HotKey).ToArray();
        string menu = string.Join("  ", choices.Select((choice, i) => $"[{keys[i]}] {choice.Label.Replace("&", "", StringComparison.Ordinal)}"));
        string preset = defaultChoice >= 0 && defaultChoice < choices.Count ? $" (default is \"{keys[defaultChoice]}\")" : "";
        while (true)
        {
            Write($"{menu}  [?] Help{preset}: ");
            string answer = RequireLine("a choice").Trim();
            if (answer.Length == 0 && preset.Length > 0)
                return defaultChoice;
            for (int i = 0; i < choices.Count; i++)
            {
                if (answer.Equals(keys[i], StringComparison.OrdinalIgnoreCase)
                    || answer.Equals(choices[i].Label.Replace("&", "", StringComparison.Ordinal), StringComparison.OrdinalIgnoreCase))
                {
                    return i;
                }
            }

            if (answer == "?")
            {
                for (int i = 0; i < choices.Count; i++)
                    WriteLine($"{keys[i]} - {choices[i].HelpMessage}");
            }
        }
    }

    /// <inheritdoc/>
    public override PSCredential PromptForCredential(string caption, string message, string userName, string targetName) =>
        throw new PSNotSupportedException("This host does not ask for credentials.");

    /// <inheritdoc/>
    public override PSCredential PromptForCredential(string caption, string message, string userName, string targetName,
        PSCredentialTypes allowedCredentialTypes, PSCredentialUIOptions options) =>
        PromptForCredential(caption, message, userName, targetName);

    /// <summary>A line, or null where the input has ended; lets go when the pipeline is stopped.</summary>
    /// <exception cref="PipelineStoppedException">Ctrl+C came first.</exception>
    internal string? ReadLineOrNull()
    {
        ClearProgress();
        terminal.Out.Flush();
        var reading = Task.Run(terminal.In.ReadLine);
        try
        {
            reading.Wait(Interruption);
        }
        catch (OperationCanceledException)
        {
            throw new PipelineStoppedException();
        }

        return reading.Result;
    }

    private static string HotKey(ChoiceDescription choice)
    {
        int at = choice.Label.IndexOf('&', StringComparison.Ordinal);
        return at >= 0 && at + 1 < choice.Label.Length ? choice.Label[at + 1].ToString().ToUpperInvariant() : choice.Label;
    }

    private void Announce(string caption, string message)
    {
        if (!terminal.Interactive)
            throw new PSInvalidOperationException($"The script asks '{message}', but the host runs with -NonInteractive.");
        if (!string.IsNullOrEmpty(caption))
            WriteLine(Style(PSStyle.Instance.Bold, caption));
        if (!string.IsNullOrEmpty(message))
            WriteLine(message);
    }

    // Taking the default where nobody can answer would confirm what nobody has seen.
    private string RequireLine(string what) =>
        ReadLineOrNull() ?? throw new PSInvalidOperationException($"Standard input ended where {what} was expected.");
}
