using System.Collections;
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

    /// <summary>Observer of the activations. quantize_static: calibrate_method, where MinMax is OrtMinMax here, and Entropy, Percentile and Distribution are
    /// themselves.</summary>
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

    /// <summary>Weight of the newest batch in the moving averages, above 0 and up to 1. quantize_static: CalibMovingAverageConstant.</summary>
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

    /// <summary>The scale of the activation observer FixedQParams; goes with -ActivationZeroPoint.</summary>
    [Parameter]
    public float? ActivationScale { get; set; }

    /// <summary>The zero point of the activation observer FixedQParams.</summary>
    [Parameter]
    public int? ActivationZeroPoint { get; set; }

    /// <summary>Bins of the activations' histogram, for the observers that keep one. 2048 by default.</summary>
    [Parameter]
    public int? Bins { get; set; }

    /// <summary>Levels that the observer Entropy quantizes a candidate range to. 128 by default.</summary>
    [Parameter]
    public int? QuantizedBins { get; set; }

    /// <summary>Share of the values that the observer Percentile covers, in percent. 99.999 by default.</summary>
    [Parameter]
    public double? Percentile { get; set; }

    /// <summary>The observer OrtMinMax takes the mean of the batches' extremes. quantize_static: CalibMovingAverage.</summary>
    [Parameter]
    public SwitchParameter Averaging { get; set; }

    /// <summary>The observers OrtMinMax and Percentile make the range symmetric around 0. Percentile does unless this is $false. quantize_static:
    /// CalibTensorRangeSymmetric.</summary>
    [Parameter]
    public SwitchParameter SymmetricRange { get; set; }

    /// <summary>With -Averaging, how many batches are averaged before the next ones move the result by -AveragingConstant; 0 (the default) for all.
    /// quantize_static: CalibStridedMinMax.</summary>
    [Parameter]
    public int? CollectSize { get; set; }

    /// <summary>Whose PyTorch: 2 (the default) or 1.13. HistogramObserver and oneDNN's formula changed in between.</summary>
    [Parameter]
    [TorchVersion]
    public TorchVersion? TorchVersion { get; set; }

    /// <summary>Smallest scale of the activations; 2^-23 by default.</summary>
    [Parameter]
    [ValidateRange(float.Epsilon, float.MaxValue)]
    public float ActivationEps { get; set; }

    /// <summary>Smallest scale of the weights; 2^-23 by default.</summary>
    [Parameter]
    [ValidateRange(float.Epsilon, float.MaxValue)]
    public float WeightEps { get; set; }

    /// <summary>Layers with observers of their own: @{ 'name or pattern*' = what }, where what is a QConfig, the name of a preset, or a hashtable of
    /// this command's parameters that changes the configuration. Only the observers are taken; the engine is one for all.</summary>
    [Parameter]
    [ValidateNotNull]
    public IDictionary? Override { get; set; }

    /// <summary>Operators that have their input's scale (MaxPool, Transpose, Reshape, ...) are quantized wherever they stand; by default only where their
    /// input is quantized anyway. Has to be known before calibration, as it needs more values observed. quantize_static: ForceQuantizeNoInputCheck.</summary>
    [Parameter]
    public SwitchParameter ForceQuantize { get; set; }

    /// <summary>Layers that stay float: names or patterns.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    [SupportsWildcards]
    public string[]? Exclude { get; set; }

    /// <inheritdoc/>
    protected override void Process()
    {
        QConfig preset = Backend ?? QConfigPresets.Default;
        QConfig changed = new QConfigChanges(MyInvocation.BoundParameters).Apply(preset);
        if (Override is not null)
            changed = changed with { Overrides = [.. changed.Overrides.Where(o => !Override.Contains(o.Pattern)), .. ReadOverrides(Override, changed)] };
        if (Exclude is not null)
            changed = changed with { Exclude = [.. changed.Exclude, .. Exclude] };
        if (MyInvocation.BoundParameters.ContainsKey(nameof(ForceQuantize)))
            changed = changed with { ForceQuantize = ForceQuantize };
        WriteObject(changed with { Name = Name ?? (changed == preset ? preset.Name : "custom") });
    }

    private static IEnumerable<LayerOverride> ReadOverrides(IDictionary overrides, QConfig general)
    {
        foreach (DictionaryEntry entry in overrides)
        {
            string pattern = entry.Key is PSObject key ? key.BaseObject.ToString()! : entry.Key.ToString()!;
            QConfig own = (entry.Value is PSObject wrapped ? wrapped.BaseObject : entry.Value) switch
            {
                QConfig config => config,
                string name => QConfigPresets.Get(name),
                IDictionary changes => new QConfigChanges(changes, pattern).Apply(general),
                object other => throw new QuantException(ErrorIds.InvalidArgument,
                    $"-Override '{pattern}' takes a QConfig, the name of a preset or a hashtable of New-QConfig's parameters, not {other.GetType().Name}.", other),
                null => throw new QuantException(ErrorIds.InvalidArgument, $"-Override '{pattern}' has no value. To keep layers in float, use -Exclude.", pattern),
            };
            yield return new LayerOverride(pattern, own.Activation, own.Weight);
        }
    }
}
