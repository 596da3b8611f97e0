using System.Management.Automation;
using QuantPS.Models;

namespace QuantPS.Completion;

/// <summary>Takes a QModel or a QuantizedModel, unwrapped; says what it got when that is something else.</summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class ModelAttribute : ArgumentTransformationAttribute
{
    /// <inheritdoc/>
    public override object Transform(EngineIntrinsics engineIntrinsics, object inputData)
    {
        object value = inputData is PSObject wrapped ? wrapped.BaseObject : inputData;
        return value switch
        {
            IModel model => model,
            Calibration => throw new ArgumentTransformationMetadataException("This is a Calibration; pipe it to ConvertTo-Quantized to get a model that can be run."),
            _ => throw new ArgumentTransformationMetadataException($"A QModel (Import-QModel, New-Conv2d, New-Linear) or a QuantizedModel (ConvertTo-Quantized) is wanted, not {value?.GetType().Name ?? "null"}."),
        };
    }
}
