using System.Collections;
using System.Management.Automation;
using QuantPS.Engine.Tensors;

namespace QuantPS.Completion;

/// <summary>Takes tensors, and hashtables of them for models with several inputs, unwrapped; says what it got when that is something else.</summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class ModelInputAttribute : ArgumentTransformationAttribute
{
    /// <inheritdoc/>
    public override object Transform(EngineIntrinsics engineIntrinsics, object inputData)
    {
        object value = Unwrap(inputData);
        return value is object[] many ? Array.ConvertAll(many, Check) : new[] { Check(value) };
    }

    private static object Unwrap(object value) => value is PSObject wrapped ? wrapped.BaseObject : value;

    private static object Check(object value) => Unwrap(value) is var item and (Tensor or IDictionary)
        ? item
        : throw new ArgumentTransformationMetadataException($"A Tensor, or a hashtable of them for a model with several inputs, is wanted, not "
            + $"{Unwrap(value)?.GetType().Name ?? "null"}. New-Tensor and Import-Tensor make tensors.");
}
