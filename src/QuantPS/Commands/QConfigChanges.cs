using System.Collections;
using System.Globalization;
using System.Management.Automation;
using QuantPS.Completion;
using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;

namespace QuantPS.Commands;

/// <summary>What New-QConfig's parameters change in a configuration; the same names count in the hashtables of -Override.</summary>
internal sealed class QConfigChanges
{
    private static readonly string[] Known =
    [
        nameof(NewQConfigCommand.ActivationObserver), nameof(NewQConfigCommand.WeightObserver), nameof(NewQConfigCommand.ActivationDType), nameof(NewQConfigCommand.WeightDType),
        nameof(NewQConfigCommand.ActivationScheme), nameof(NewQConfigCommand.WeightScheme), nameof(NewQConfigCommand.ReduceRange), nameof(NewQConfigCommand.AveragingConstant),
        nameof(NewQConfigCommand.ActivationQuantMin), nameof(NewQConfigCommand.ActivationQuantMax), nameof(NewQConfigCommand.WeightQuantMin), nameof(NewQConfigCommand.WeightQuantMax),
        nameof(NewQConfigCommand.ActivationScale), nameof(NewQConfigCommand.ActivationZeroPoint), nameof(NewQConfigCommand.Bins), nameof(NewQConfigCommand.QuantizedBins),
        nameof(NewQConfigCommand.Percentile), nameof(NewQConfigCommand.Averaging), nameof(NewQConfigCommand.SymmetricRange), nameof(NewQConfigCommand.CollectSize),
        nameof(NewQConfigCommand.TorchVersion), nameof(NewQConfigCommand.ActivationEps), nameof(NewQConfigCommand.WeightEps),
    ];

    private readonly Dictionary<string, object> named = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>The parameters of a command.</summary>
    public QConfigChanges(Dictionary<string, object> bound)
    {
        foreach ((string name, object value) in bound.Where(p => Known.Contains(p.Key)))
            named[name] = value;
    }

    /// <summary>A hashtable of -Override.</summary>
    /// <exception cref="QuantException">InvalidArgument: a key that is no parameter.</exception>
    public QConfigChanges(IDictionary changes, string pattern)
    {
        foreach (DictionaryEntry entry in changes)
        {
            string name = entry.Key.ToString()!;
            if (!Known.Contains(name, StringComparer.OrdinalIgnoreCase))
                throw new QuantException(ErrorIds.InvalidArgument,
                    $"-Override '{pattern}': there is no '{name}'. Known: {string.Join(", ", Known)}.", name);
            if (entry.Value is not null)
                named[name] = entry.Value;
        }
    }

    /// <summary>The changed configuration.</summary>
    /// <exception cref="QuantException">InvalidArgument, UnsupportedScheme, UnsupportedDType, InvalidQuantizationRange: what does not go
    /// together.</exception>
    public QConfig Apply(QConfig preset)
    {
        ObserverKind? activationKind = Enum<ObserverKind>(nameof(NewQConfigCommand.ActivationObserver)), weightKind = Enum<ObserverKind>(nameof(NewQConfigCommand.WeightObserver));
        ObserverSpec activation = activationKind is ObserverKind a ? new ObserverSpec { Kind = a, Scheme = DefaultScheme(a, symmetric: false) } : preset.Activation;
        ObserverSpec weight = weightKind is ObserverKind w ? new ObserverSpec { Kind = w, DType = QDType.QInt8, Scheme = DefaultScheme(w, symmetric: true) } : preset.Weight;
        activation = Change(activation, "Activation", activationKind is not null);
        weight = Change(weight, "Weight", weightKind is not null);
        if (Value<bool>(nameof(NewQConfigCommand.ReduceRange)) is bool reduce)
            activation = activation with { ReduceRange = reduce };
        activation = activation with
        {
            Scale = Value<float>(nameof(NewQConfigCommand.ActivationScale)) ?? activation.Scale,
            ZeroPoint = Value<int>(nameof(NewQConfigCommand.ActivationZeroPoint)) ?? activation.ZeroPoint,
            Bins = Value<int>(nameof(NewQConfigCommand.Bins)) ?? activation.Bins,
            QuantizedBins = Value<int>(nameof(NewQConfigCommand.QuantizedBins)) ?? activation.QuantizedBins,
            Percentile = Value<double>(nameof(NewQConfigCommand.Percentile)) ?? activation.Percentile,
            Averaging = Value<bool>(nameof(NewQConfigCommand.Averaging)) ?? activation.Averaging,
            CollectSize = Value<int>(nameof(NewQConfigCommand.CollectSize)) ?? activation.CollectSize,
            SymmetricRange = Value<bool>(nameof(NewQConfigCommand.SymmetricRange)) ?? activation.SymmetricRange,
        };
        if (named.TryGetValue(nameof(NewQConfigCommand.TorchVersion), out object? torch))
        {
            TorchVersion version = (TorchVersion)new TorchVersionAttribute().Transform(null!, torch);
            activation = activation with { TorchVersion = version };
            weight = weight with { TorchVersion = version };
        }
        // An observer refuses what PyTorch's constructor refuses; better here than when the first tensor comes.
        activation.Create();
        weight.Create();
        return preset with { Activation = activation, Weight = weight };
    }

    private static QScheme DefaultScheme(ObserverKind kind, bool symmetric) => (kind.IsPerChannel(), symmetric) switch
    {
        (true, true) => QScheme.PerChannelSymmetric,
        (true, false) => QScheme.PerChannelAffine,
        (false, true) => QScheme.PerTensorSymmetric,
        (false, false) => QScheme.PerTensorAffine,
    };

    private ObserverSpec Change(ObserverSpec spec, string what, bool observerNamed)
    {
        int? quantMin = Value<int>(what + "QuantMin"), quantMax = Value<int>(what + "QuantMax");
        if (Enum<QDType>(what + "DType") is QDType d)
            spec = spec with { DType = d };
        if (Enum<QScheme>(what + "Scheme") is QScheme s)
        {
            ObserverKind kind = observerNamed ? spec.Kind : spec.Kind.Per(channel: s.IsPerChannel());
            if (kind.IsPerChannel() != s.IsPerChannel())
                throw new QuantException(ErrorIds.UnsupportedScheme,
                    $"-{what}Scheme {s.TorchName()} does not go with the observer {Spellings.PyTorch(kind)}, which watches {(kind.IsPerChannel() ? "every channel" : "the whole tensor")}. "
                    + $"Use -{what}Observer {Spellings.PyTorch(s.IsPerChannel() ? ObserverKind.PerChannelMinMax : ObserverKind.MinMax)}, or another scheme.", kind);
            spec = spec with { Kind = kind, Scheme = s };
        }
        if (quantMin.HasValue != quantMax.HasValue)
            throw new QuantException(ErrorIds.InvalidQuantizationRange,
                $"-{what}QuantMin and -{what}QuantMax go together: give both or none.", quantMin ?? quantMax);
        if (quantMin is int lo && quantMax is int hi)
            spec = spec with { QuantMin = lo, QuantMax = hi };
        if (Value<float>(what + "Eps") is float eps)
            spec = spec with { Eps = eps };
        if (Value<double>(nameof(NewQConfigCommand.AveragingConstant)) is double c)
        {
            if (!(c > 0 && c <= 1))
                throw new QuantException(ErrorIds.InvalidArgument, $"-AveragingConstant {c} must be above 0 and at most 1.", c);
            spec = spec with { AveragingConstant = c };
        }
        return spec;
    }

    private T? Value<T>(string name) where T : struct
    {
        if (!named.TryGetValue(name, out object? value))
            return null;
        if ((value is PSObject wrapped ? wrapped.BaseObject : value) is SwitchParameter on && on.IsPresent is T given)
            return given;
        try
        {
            return (T)LanguagePrimitives.ConvertTo(value, typeof(T), CultureInfo.InvariantCulture);
        }
        catch (PSInvalidCastException e)
        {
            throw new QuantException(ErrorIds.InvalidArgument, $"{name}: {e.Message}", value, e);
        }
    }

    private T? Enum<T>(string name) where T : struct, Enum
    {
        if (!named.TryGetValue(name, out object? value))
            return null;
        return (value is PSObject wrapped ? wrapped.BaseObject : value) switch
        {
            T known => known,
            string text when Spelling<T>.TryParse(text, out T known) => known,
            object other => throw new QuantException(ErrorIds.InvalidArgument, $"{name}: '{other}' is not one of {Spelling<T>.Known}.", other),
        };
    }
}
