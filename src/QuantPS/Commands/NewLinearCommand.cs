using System.Management.Automation;
using QuantPS.Abstractions;
using QuantPS.Models;
using QuantPS.Onnx.Model;

namespace QuantPS.Commands;

/// <summary>New-Linear: a float model of one linear layer.</summary>
[Cmdlet(VerbsCommon.New, "Linear")]
[OutputType(typeof(QModel))]
public sealed class NewLinearCommand : NewFloatLayerCmdlet
{
    /// <summary>Input features.</summary>
    [Parameter(Mandatory = true, Position = 0)]
    [ValidateRange(1, int.MaxValue)]
    public int InFeatures { get; set; }

    /// <summary>Output features.</summary>
    [Parameter(Mandatory = true, Position = 1)]
    [ValidateRange(1, int.MaxValue)]
    public int OutFeatures { get; set; }

    /// <inheritdoc/>
    protected override OnnxModel Create() =>
        ModelBuilder.Linear(WeightTensor([OutFeatures, InFeatures], InFeatures), BiasValues(OutFeatures, InFeatures), Name.Length > 0 ? Name : "linear");
}
