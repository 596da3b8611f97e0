using System.Management.Automation;
using QuantPS.Engine.Tensors;

namespace QuantPS.Completion;

/// <summary>Takes tensors and quantized tensors, unwrapped; says what it got when that is something else.</summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class TensorOrQuantizedTensorAttribute : ArgumentTransformationAttribute
{
    /// <inheritdoc/>
    public override object Transform(EngineIntrinsics engineIntrinsics, object inputData)
    {
        object value = Unwrap(inputData);
        return value is object[] many ? Array.ConvertAll(many, Check) : new[] { Check(value) };
    }

    private static object Unwrap(object value) => value is PSObject wrapped ? wrapped.BaseObject : value;

    private static object Check(object value) => Unwrap(value) is var item and (Tensor or QuantizedTensor)
        ? item
        : throw new ArgumentTransformationMetadataException($"A Tensor or a QuantizedTensor is wanted, not {value?.GetType().Name ?? "null"}. New-Tensor and Import-Tensor make one.");
}
