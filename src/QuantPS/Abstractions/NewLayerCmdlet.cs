using System.Management.Automation;
using QuantPS.Completion;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Abstractions;

/// <summary>Makes a quantized layer from known integers and parameters, as if it had been converted.</summary>
public abstract class NewLayerCmdlet : QuantCmdlet
{
    /// <summary>qint8 weights, output channels first; per tensor or per channel along axis 0.</summary>
    [Parameter(Mandatory = true, Position = 0)]
    [ValidateNotNull]
    public QuantizedTensor Weight { get; set; } = null!;

    /// <summary>float32, one value per output channel; it stays float, as in PyTorch.</summary>
    [Parameter]
    public float[]? Bias { get; set; }

    /// <summary>Scale that inputs are quantized with.</summary>
    [Parameter(Mandatory = true)]
    public float InputScale { get; set; }

    /// <summary>Zero point of the inputs.</summary>
    [Parameter]
    public int InputZeroPoint { get; set; }

    /// <summary>Scale of the outputs.</summary>
    [Parameter(Mandatory = true)]
    public float OutputScale { get; set; }

    /// <summary>Zero point of the outputs.</summary>
    [Parameter]
    public int OutputZeroPoint { get; set; }

    /// <summary>quint8 (the default) or qint8, for inputs and outputs.</summary>
    [Parameter]
    [Spelling<QDType>]
    public QDType ActivationDType { get; set; } = QDType.QUInt8;

    /// <summary>A fused ReLU: clamps outputs at the zero point.</summary>
    [Parameter]
    public SwitchParameter Relu { get; set; }

    /// <summary>A fused ReLU6: clamps outputs at the zero point and at the integer of 6.</summary>
    [Parameter]
    public SwitchParameter Relu6 { get; set; }

    /// <summary>Whose arithmetic; x86 (the default) picks onednn or fbgemm as PyTorch does.</summary>
    [Parameter]
    [Spelling<EngineKind>]
    public EngineKind Engine { get; set; } = EngineKind.X86;

    /// <summary>Reproduces the engine's own defects too.</summary>
    [Parameter]
    public SwitchParameter Compat { get; set; }

    /// <summary>Whose PyTorch: 2 (the default) or 1.13; some formulas changed in between.</summary>
    [Parameter]
    [TorchVersion]
    public TorchVersion TorchVersion { get; set; } = TorchVersion.V2;

    /// <summary>For views and messages.</summary>
    [Parameter]
    public string Name { get; set; } = "";

    /// <summary>Makes the layer.</summary>
    protected abstract QuantizedWeightLayer Create(QParams input, QParams output, LayerOptions options);

    /// <inheritdoc/>
    protected sealed override void Process()
    {
        QuantizedWeightLayer layer = Create(
            new QParams(InputScale, InputZeroPoint, ActivationDType),
            new QParams(OutputScale, OutputZeroPoint, ActivationDType),
            new LayerOptions { Name = Name, Relu = Relu, Relu6 = Relu6, Compat = Compat, TorchVersion = TorchVersion });
        WriteVerbose($"{layer}: kernel {layer.KernelName}");
        WriteObject(layer);
    }
}
