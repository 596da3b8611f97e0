using System.Management.Automation;

namespace QuantPS.Completion;

/// <summary>Lets a parameter of an enum type take PyTorch's spelling beside PowerShell's.</summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class SpellingAttribute<T> : ArgumentTransformationAttribute where T : struct, Enum
{
    /// <inheritdoc/>
    public override object Transform(EngineIntrinsics engineIntrinsics, object inputData)
    {
        object value = inputData is PSObject wrapped ? wrapped.BaseObject : inputData;
        if (value is not string text)
            return inputData;
        return Spelling<T>.TryParse(text, out T known)
            ? known
            : throw new ArgumentTransformationMetadataException($"'{text}' is not one of {Spelling<T>.Known}.");
    }
}
