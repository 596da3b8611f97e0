using System.Management.Automation;
using QuantPS.Abstractions;
using QuantPS.Engine.Layers;

namespace QuantPS.Commands;

/// <summary>Trace-QuantizedConv: why one output integer is what it is, step by step.</summary>
[Cmdlet(VerbsDiagnostic.Trace, "QuantizedConv")]
[OutputType(typeof(ConvTrace))]
public sealed class TraceQuantizedConvCommand : LayerCmdlet<QuantizedConv>
{
    /// <summary>Index of the output: n, c, y, x. Negative numbers count from the end.</summary>
    [Parameter(Mandatory = true, Position = 1)]
    [ValidateNotNullOrEmpty]
    public int[] At { get; set; } = [];

    /// <inheritdoc/>
    protected override void ProcessItem(object item) => WriteObject(Target.Trace(Quantized(item), At));
}
