using System.Management.Automation;
using QuantPS.Abstractions;
using QuantPS.Completion;
using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;

namespace QuantPS.Commands;

/// <summary>New-QConfig: a preset, changed by what is named.</summary>
/// <remarks>Naming an observer replaces the preset's one with all its arguments, as QConfig(activation=MinMaxObserver.with_args()) does in
/// PyTorch: activations start from quint8, affine, full range; weights from qint8, symmetric. What else is named changes one argument.</remarks>
[Cmdlet(VerbsCommon.New, "QConfig")]
[OutputType(typeof(QConfig))]
public sealed class NewQConfigCommand : QuantCmdlet
{
    /// <summary>The preset to start from, and whose arithmetic to follow: fbgemm, x86 (the default), onednn, qnnpack, onnxruntime.</summary>
    [Parameter(Position = 0)]
    [QConfig]
    [ArgumentCompleter(typeof(QConfigCompleter))]
    public QConfig? Backend { get; set; }

    /// <summary>A name of one's own for the configuration.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public string? Name { get; set; }

    /// <summary>Observer of the activations.</summary>
    [Parameter]
    [Spelling<ObserverKind>]
    public ObserverKind? ActivationObserver { get; set; }

    /// <summary>Observer of the weights.</summary>
    [Parameter]
    [Spelling<ObserverKind>]
    public ObserverKind? WeightObserver { get; set; }

    /// <summary>Integer type of the activations.</summary>
    [Parameter]
    [Spelling<QDType>]
    public QDType? ActivationDType { get; set; }

    /// <summary>Integer type of the weights.</summary>
    [Parameter]
    [Spelling<QDType>]
    public QDType? WeightDType { get; set; }

    /// <summary>Scheme of the activations.</summary>
    [Parameter]
    [Spelling<QScheme>]
    public QScheme? ActivationScheme { get; set; }

    /// <summary>Scheme of the weights. A per-channel scheme without -WeightObserver brings the per-channel form of the preset's observer, and the other way round.</summary>
    [Parameter]
    [Spelling<QScheme>]
    public QScheme? WeightScheme { get; set; }

    /// <summary>Activations use one bit less. -ReduceRange:$false takes it from a preset that has it.</summary>
    [Parameter]
    public SwitchParameter ReduceRange { get; set; }

    /// <summary>Weight of the newest batch in the moving averages, above 0 and up to 1.</summary>
    [Parameter]
    public double? AveragingConstant { get; set; }

    /// <summary>Lower end of the activations' integers; goes with -ActivationQuantMax.</summary>
    [Parameter]
    public int? ActivationQuantMin { get; set; }

    /// <summary>Upper end of the activations' integers.</summary>
    [Parameter]
    public int? ActivationQuantMax { get; set; }

    /// <summary>Lower end of the weights' integers; goes with -WeightQuantMax. -127 to 127 is what some engines want.</summary>
    [Parameter]
    public int? WeightQuantMin { get; set; }

    /// <summary>Upper end of the weights' integers.</summary>
    [Parameter]
    public int? WeightQuantMax { get; set; }

    /// <inheritdoc/>
    protected override void Process()
    {
        QConfig preset = Backend ?? QConfigPresets.Default;
        ObserverSpec activation = ActivationObserver is ObserverKind a ? new ObserverSpec { Kind = a, Scheme = DefaultScheme(a, symmetric: false) } : preset.Activation;
        ObserverSpec weight = WeightObserver is ObserverKind w ? new ObserverSpec { Kind = w, DType = QDType.QInt8, Scheme = DefaultScheme(w, symmetric: true) } : preset.Weight;
        activation = Change(activation, "Activation", ActivationObserver is not null, ActivationDType, ActivationScheme, ActivationQuantMin, ActivationQuantMax);
        weight = Change(weight, "Weight", WeightObserver is not null, WeightDType, WeightScheme, WeightQuantMin, WeightQuantMax);
        if (MyInvocation.BoundParameters.ContainsKey(nameof(ReduceRange)))
            activation = activation with { ReduceRange = ReduceRange };
        // An observer refuses what PyTorch's constructor refuses; better here than when the first tensor comes.
        activation.Create();
        weight.Create();
        QConfig changed = preset with { Activation = activation, Weight = weight };
        WriteObject(changed with { Name = Name ?? (changed == preset ? preset.Name : "custom") });
    }

    private static QScheme DefaultScheme(ObserverKind kind, bool symmetric) => (kind.IsPerChannel(), symmetric) switch
    {
        (true, true) => QScheme.PerChannelSymmetric,
        (true, false) => QScheme.PerChannelAffine,
        (false, true) => QScheme.PerTensorSymmetric,
        (false, false) => QScheme.PerTensorAffine,
    };

    private ObserverSpec Change(ObserverSpec spec, string what, bool observerNamed, QDType? dtype, QScheme? scheme, int? quantMin, int? quantMax)
    {
        if (dtype is QDType d)
            spec = spec with { DType = d };
        if (scheme is QScheme s)
        {
            ObserverKind kind = observerNamed ? spec.Kind : spec.Kind.Per(channel: s.IsPerChannel());
            if (kind.IsPerChannel() != s.IsPerChannel())
                throw new QuantException(ErrorIds.UnsupportedScheme,
                    $"-{what}Scheme {s.TorchName()} does not go with the observer {Spellings.PyTorch(kind)}, which watches {(kind.IsPerChannel() ? "every channel" : "the whole tensor")}. "
                    + $"Use -{what}Observer {Spellings.PyTorch(s.IsPerChannel() ? ObserverKind.PerChannelMinMax : ObserverKind.MinMax)}, or another scheme.", kind);
            spec = spec with { Kind = kind, Scheme = s };
        }
        if (quantMin.HasValue != quantMax.HasValue)
            throw new QuantException(ErrorIds.InvalidQuantizationRange, $"-{what}QuantMin and -{what}QuantMax go together: give both or none.", quantMin ?? quantMax);
        if (quantMin is int lo && quantMax is int hi)
            spec = spec with { QuantMin = lo, QuantMax = hi };
        if (AveragingConstant is double c)
        {
            if (!(c > 0 && c <= 1))
                throw new QuantException(ErrorIds.InvalidArgument, $"-AveragingConstant {c} must be above 0 and at most 1.", c);
            spec = spec with { AveragingConstant = c };
        }
        return spec;
    }
}
