using System.Collections;
using System.Management.Automation;
using System.Management.Automation.Language;

namespace QuantPS.Completion;

/// <summary>Completes a parameter of an enum type with both spellings: PyTorch's first, then PowerShell's.</summary>
public sealed class SpellingCompleter<T> : IArgumentCompleter where T : struct, Enum
{
    /// <inheritdoc/>
    public IEnumerable<CompletionResult> CompleteArgument(string commandName, string parameterName, string wordToComplete, CommandAst commandAst, IDictionary fakeBoundParameters) =>
        Completions.Matching(Spelling<T>.Names.Select(n => n.PyTorch).Concat(Spelling<T>.Names.Select(n => n.PowerShell)), wordToComplete);
}
