using System.Management.Automation;
using QuantPS.Abstractions;
using QuantPS.Engine.Tensors;

namespace QuantPS.Commands;

/// <summary>ConvertFrom-Quantized: integers back to float32, scale * (integer - zero point).</summary>
[Cmdlet(VerbsData.ConvertFrom, "Quantized")]
[OutputType(typeof(Tensor))]
public sealed class ConvertFromQuantizedCommand : PipelineCmdlet<QuantizedTensor>
{
    /// <inheritdoc/>
    protected override void ProcessItem(QuantizedTensor item) => WriteObject(item.Dequantize());
}
