using System.Collections;
using System.Management.Automation;
using System.Management.Automation.Language;
using QuantPS.Engine.Functional;

namespace QuantPS.Completion;

/// <summary>Completes the names of the quantized functions.</summary>
public sealed class QuantizedFunctionCompleter : IArgumentCompleter
{
    /// <inheritdoc/>
    public IEnumerable<CompletionResult> CompleteArgument(string commandName, string parameterName, string wordToComplete, CommandAst commandAst, IDictionary fakeBoundParameters) =>
        Completions.Matching(QuantizedFunctions.All.Select(f => f.Name), wordToComplete);
}
