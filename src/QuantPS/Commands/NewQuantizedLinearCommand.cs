using System.Management.Automation;
using QuantPS.Abstractions;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;

namespace QuantPS.Commands;

/// <summary>New-QuantizedLinear: a quantized linear layer from known integers and parameters; the weight is [out, in].</summary>
[Cmdlet(VerbsCommon.New, "QuantizedLinear")]
[OutputType(typeof(QuantizedLinear))]
public sealed class NewQuantizedLinearCommand : NewLayerCmdlet
{
    /// <inheritdoc/>
    protected override QuantizedWeightLayer Create(QParams input, QParams output, LayerOptions options) => new QuantizedLinear(Weight, Bias, input, output, Engine, options);
}
