using System.Collections;
using System.Management.Automation;
using QuantPS.Abstractions;
using QuantPS.Completion;
using QuantPS.Engine.Functional;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Commands;

/// <summary>Invoke-QuantizedFunction: PyTorch's functions on quantized tensors by their names: add, mul, cat, max_pool2d, hardswish, ...</summary>
[Cmdlet(VerbsLifecycle.Invoke, "QuantizedFunction")]
[OutputType(typeof(QuantizedTensor))]
public sealed class InvokeQuantizedFunctionCommand : PipelineCmdlet<QuantizedTensor>
{
    /// <summary>PyTorch's name of the function.</summary>
    [Parameter(Mandatory = true, Position = 0)]
    [ArgumentCompleter(typeof(QuantizedFunctionCompleter))]
    public string Name { get; set; } = "";

    /// <summary>The further tensors: one for add and mul, any number for cat.</summary>
    [Parameter(Position = 1)]
    [ValidateNotNull]
    public QuantizedTensor[] Other { get; set; } = [];

    /// <summary>Scale of the result, where the function takes one.</summary>
    [Parameter]
    public float? Scale { get; set; }

    /// <summary>Zero point of the result. 0 by default.</summary>
    [Parameter]
    public int ZeroPoint { get; set; }

    /// <summary>PyTorch's keyword arguments: @{ kernel_size = 2; stride = 2 }.</summary>
    [Parameter]
    [ValidateNotNull]
    public Hashtable Argument { get; set; } = [];

    /// <summary>Whose arithmetic; some functions differ on qnnpack. x86 by default.</summary>
    [Parameter]
    [Spelling<EngineKind>]
    public EngineKind Engine { get; set; } = EngineKind.X86;

    /// <summary>Reproduces what the engine does beside its formula: left-over elements, overflow.</summary>
    [Parameter]
    public SwitchParameter Compat { get; set; }

    /// <summary>Whose PyTorch: 2 (the default) or 1.13; some formulas changed in between.</summary>
    [Parameter]
    [TorchVersion]
    public TorchVersion TorchVersion { get; set; } = TorchVersion.V2;

    /// <inheritdoc/>
    protected override void ProcessItem(QuantizedTensor item)
    {
        Dictionary<string, object?> arguments = new(StringComparer.OrdinalIgnoreCase);
        foreach (DictionaryEntry entry in Argument)
            arguments[entry.Key.ToString()!] = entry.Value is PSObject wrapped ? wrapped.BaseObject : entry.Value;
        WriteObject(QuantizedFunctions.Run(Name, item, new FunctionCall
        {
            Function = Name,
            Engine = Engine,
            Options = new LayerOptions { Compat = Compat, TorchVersion = TorchVersion },
            Output = Scale is float scale ? new QParams(scale, ZeroPoint, item.DType) : null,
            Others = Other,
            Arguments = arguments,
        }));
    }
}
