using System.Collections;
using System.Management.Automation;
using System.Management.Automation.Language;
using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;

namespace QuantPS.Completion;

/// <summary>Lets a parameter of type <see cref="QConfig"/> take the name of a preset: -QConfig x86.</summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class QConfigAttribute : ArgumentTransformationAttribute
{
    /// <inheritdoc/>
    public override object Transform(EngineIntrinsics engineIntrinsics, object inputData)
    {
        object value = inputData is PSObject wrapped ? wrapped.BaseObject : inputData;
        if (value is not string name)
            return inputData;
        try
        {
            return QConfigPresets.Get(name);
        }
        catch (QuantException e)
        {
            throw new ArgumentTransformationMetadataException(e.Message, e);
        }
    }
}

/// <summary>Completes the names of the presets.</summary>
public sealed class QConfigCompleter : IArgumentCompleter
{
    /// <inheritdoc/>
    public IEnumerable<CompletionResult> CompleteArgument(string commandName, string parameterName, string wordToComplete, CommandAst commandAst, IDictionary fakeBoundParameters) =>
        Completions.Matching(QConfigPresets.Names, wordToComplete);
}
