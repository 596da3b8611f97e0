using System.Management.Automation;

namespace QuantPS.Completion;

/// <summary>Both spellings of an enum's values for [ValidateSet], PyTorch's first.</summary>
/// <remarks>For the sake of completion: for a parameter of an enum type PowerShell asks ValidateSet, but no argument completer.</remarks>
public sealed class SpellingNames<T> : IValidateSetValuesGenerator where T : struct, Enum
{
    /// <inheritdoc/>
    public string[] GetValidValues() =>
        [.. Spelling<T>.Names.Select(n => n.PyTorch).Concat(Spelling<T>.Names.Select(n => n.PowerShell)).Distinct(StringComparer.OrdinalIgnoreCase)];
}
