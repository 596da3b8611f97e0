using System.Management.Automation;
using QuantPS.Engine.Errors;
using QuantPS.Models;
using QuantPS.Onnx.Model;

namespace QuantPS.Completion;

/// <summary>Takes a QModel or a QuantizedModel, unwrapped, or the path of an .onnx file; says what it got when that is something else.</summary>
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
            string path => Load(engineIntrinsics, path),
            Calibration => throw new ArgumentTransformationMetadataException("This is a Calibration; pipe it to ConvertTo-Quantized to get a model that can be run."),
            _ => throw new ArgumentTransformationMetadataException($"A QModel (Import-QModel, New-Conv2d, New-Linear) or a QuantizedModel (ConvertTo-Quantized) is wanted, not {value?.GetType().Name ?? "null"}."),
        };
    }

    private static QModel Load(EngineIntrinsics engine, string path)
    {
        try
        {
            return new QModel(OnnxModel.Load(engine.SessionState.Path.GetUnresolvedProviderPathFromPSPath(path)));
        }
        catch (QuantException e)
        {
            throw new ArgumentTransformationMetadataException(e.Message, e);
        }
    }
}
