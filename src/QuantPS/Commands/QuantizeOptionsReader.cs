using System.Collections;
using System.Globalization;
using System.Management.Automation;
using QuantPS.Completion;
using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Onnx.Quantization;

namespace QuantPS.Commands;

/// <summary>The options of ConvertTo-Quantized, as its own parameters or in the hashtable of a job.</summary>
internal static class QuantizeOptionsReader
{
    /// <summary>By the names of the parameters: what each changes.</summary>
    private static readonly Dictionary<string, Func<QuantizeOptions, object?, QuantizeOptions>> Options = new(StringComparer.OrdinalIgnoreCase)
    {
        [nameof(ConvertToQuantizedCommand.OpType)] = (o, v) => o with { OpTypes = [.. To<string[]>("-OpType", v)] },
        [nameof(ConvertToQuantizedCommand.ExcludeOpType)] = (o, v) => o with { ExcludedOpTypes = [.. To<string[]>("-ExcludeOpType", v)] },
        [nameof(ConvertToQuantizedCommand.Node)] = (o, v) => o with { Nodes = [.. To<string[]>("-Node", v)] },
        [nameof(ConvertToQuantizedCommand.ExcludeNode)] = (o, v) => o with { ExcludedNodes = [.. To<string[]>("-ExcludeNode", v)] },
        [nameof(ConvertToQuantizedCommand.FloatOutputOpType)] = (o, v) => o with { FloatOutputs = [.. To<string[]>("-FloatOutputOpType", v)] },
        [nameof(ConvertToQuantizedCommand.ConstantMatMulOnly)] = (o, v) => o with { ConstantMatMulOnly = On(v) },
        [nameof(ConvertToQuantizedCommand.PerChannel)] = (o, v) => o with { PerChannel = On(v) },
        [nameof(ConvertToQuantizedCommand.ChannelAxis)] = (o, v) => o with { ChannelAxes = Axes(v) },
        [nameof(ConvertToQuantizedCommand.ReduceRange)] = (o, v) => o with { ReduceRange = On(v) },
        [nameof(ConvertToQuantizedCommand.ActivationDType)] = (o, v) => o with { ActivationType = DType("-ActivationDType", v) },
        [nameof(ConvertToQuantizedCommand.WeightDType)] = (o, v) => o with { WeightType = DType("-WeightDType", v) },
        [nameof(ConvertToQuantizedCommand.SymmetricActivation)] = (o, v) => o with { SymmetricActivations = On(v) },
        [nameof(ConvertToQuantizedCommand.SymmetricWeight)] = (o, v) => o with { SymmetricWeights = On(v) },
        [nameof(ConvertToQuantizedCommand.MinimumRealRange)] = (o, v) => o with { MinimumRealRange = To<float>("-MinimumRealRange", v) is > 0 and var range ? range
            : throw new QuantException(ErrorIds.InvalidArgument, $"-MinimumRealRange {v} has to be above 0.", v) },
        [nameof(ConvertToQuantizedCommand.TensorOverride)] = (o, v) => o with { Tensors = Tensors(To<IDictionary>("-TensorOverride", v)) },
        [nameof(ConvertToQuantizedCommand.DedicatedPair)] = (o, v) => o with { DedicatedPairs = On(v) },
        [nameof(ConvertToQuantizedCommand.KeepActivation)] = (o, v) => o with { KeepActivations = On(v) },
        [nameof(ConvertToQuantizedCommand.FloatBias)] = (o, v) => o with { QuantizeBias = !On(v) },
        [nameof(ConvertToQuantizedCommand.WeightPair)] = (o, v) => o with { PairedWeights = On(v) },
        [nameof(ConvertToQuantizedCommand.NoWeightAdjustment)] = (o, v) => o with { AdjustWeightScale = !On(v) },
        [nameof(ConvertToQuantizedCommand.ContribOperator)] = (o, v) => o with { ContribOperators = On(v) },
        [nameof(ConvertToQuantizedCommand.FuseElementwise)] = (o, v) => o with { FuseElementwise = On(v) },
        [nameof(ConvertToQuantizedCommand.EqualizeChannels)] = (o, v) => o with { EqualizeChannels = On(v) },
        [nameof(ConvertToQuantizedCommand.FitWeightScale)] = (o, v) => o with { FitWeightScales = On(v) },
        [nameof(ConvertToQuantizedCommand.Subgraph)] = (o, v) => o with { Subgraphs = On(v) },
    };

    /// <summary>The options among a command's parameters; null where none is named, for the calibration's own plan.</summary>
    /// <exception cref="QuantException">InvalidArgument: a value that means nothing.</exception>
    public static QuantizeOptions? Read(Dictionary<string, object> bound) =>
        bound.Keys.Any(Options.ContainsKey) ? bound.Where(b => Options.ContainsKey(b.Key)).Aggregate(new QuantizeOptions(), (o, b) => Options[b.Key](o, Unwrap(b.Value))) : null;

    /// <summary>The options in a hashtable, @{ PerChannel = $true; ... }; null for an empty one.</summary>
    /// <exception cref="QuantException">InvalidArgument: a key or a value that means nothing.</exception>
    public static QuantizeOptions? Read(IDictionary given)
    {
        Dictionary<string, object> named = new(StringComparer.OrdinalIgnoreCase);
        foreach (DictionaryEntry entry in given)
        {
            string name = entry.Key.ToString()!;
            if (!Options.ContainsKey(name) || name.Equals(nameof(ConvertToQuantizedCommand.Subgraph), StringComparison.OrdinalIgnoreCase))
            {
                throw new QuantException(ErrorIds.InvalidArgument,
                    $"-Option: there is no '{name}'. Known: {string.Join(", ", Options.Keys.Except([nameof(ConvertToQuantizedCommand.Subgraph)]).Order(StringComparer.Ordinal))}.", name);
            }
            if (entry.Value is not null)
                named[name] = entry.Value;
        }
        return Read(named);
    }

    private const string ConvertKey = nameof(TensorOverride.Convert);

    private static readonly string[] Keys =
    [
        nameof(TensorOverride.DType), nameof(TensorOverride.Symmetric), nameof(TensorOverride.ReduceRange), nameof(TensorOverride.Axis), nameof(TensorOverride.Scale),
        nameof(TensorOverride.ZeroPoint), nameof(TensorOverride.Min), nameof(TensorOverride.Max), ConvertKey, nameof(TensorOverride.ConvertFor),
    ];

    /// <summary>@{ tensor = @{ DType = ...; Scale = ...; ... } }</summary>
    /// <exception cref="QuantException">InvalidArgument: a key or a value that means nothing.</exception>
    public static IReadOnlyDictionary<string, TensorOverride> Tensors(IDictionary? given)
    {
        Dictionary<string, TensorOverride> read = new(StringComparer.Ordinal);
        foreach (DictionaryEntry entry in given ?? new Hashtable())
            read[entry.Key.ToString()!] = One(entry.Key.ToString()!, entry.Value, nested: false);
        return read;
    }

    private static TensorOverride One(string tensor, object? value, bool nested)
    {
        if (Unwrap(value) is not IDictionary fields)
            throw new QuantException(ErrorIds.InvalidArgument,
                $"-TensorOverride '{tensor}' takes a hashtable with any of {string.Join(", ", Keys)}.", value);
        TensorOverride made = new();
        foreach (DictionaryEntry field in fields)
        {
            string[] known = nested ? [.. Keys.Where(k => !k.StartsWith(ConvertKey, StringComparison.Ordinal))] : Keys;
            string key = known.FirstOrDefault(k => k.Equals(field.Key.ToString(), StringComparison.OrdinalIgnoreCase))
                ?? throw new QuantException(ErrorIds.InvalidArgument,
                    $"-TensorOverride '{tensor}': there is no '{field.Key}'. Known: {string.Join(", ", known)}.", field.Key);
            made = key switch
            {
                nameof(TensorOverride.DType) => made with { DType = DType(Of(tensor), field.Value) },
                nameof(TensorOverride.Symmetric) => made with { Symmetric = To<bool>(Of(tensor, key), field.Value) },
                nameof(TensorOverride.ReduceRange) => made with { ReduceRange = To<bool>(Of(tensor, key), field.Value) },
                nameof(TensorOverride.Axis) => made with { Axis = To<int>(Of(tensor, key), field.Value) },
                nameof(TensorOverride.Scale) => made with { Scale = [.. To<float[]>(Of(tensor, key), field.Value)] },
                nameof(TensorOverride.ZeroPoint) => made with { ZeroPoint = [.. To<int[]>(Of(tensor, key), field.Value)] },
                nameof(TensorOverride.Min) => made with { Min = [.. To<float[]>(Of(tensor, key), field.Value)] },
                nameof(TensorOverride.Max) => made with { Max = [.. To<float[]>(Of(tensor, key), field.Value)] },
                ConvertKey => made with { Convert = One(tensor, field.Value, nested: true) },
                _ => made with { ConvertFor = [.. To<string[]>(Of(tensor, key), field.Value)] },
            };
        }
        return made;
    }

    private static string Of(string tensor, string? key = null) => $"-TensorOverride '{tensor}'" + (key is null ? "" : $", {key}");

    private static QDType DType(string what, object? value) => Unwrap(value) switch
    {
        QDType known => known,
        string text when Spelling<QDType>.TryParse(text, out QDType known) => known,
        var other => throw new QuantException(ErrorIds.InvalidArgument,
            $"{what}: '{other}' is not one of {Spelling<QDType>.Known}.", other),
    };

    private static IReadOnlyDictionary<string, int> Axes(object? value)
    {
        Dictionary<string, int> axes = new(StringComparer.OrdinalIgnoreCase);
        foreach (DictionaryEntry entry in To<IDictionary>("-ChannelAxis", value))
            axes[entry.Key.ToString()!] = To<int>($"-ChannelAxis '{entry.Key}'", entry.Value);
        return axes;
    }

    private static bool On(object? value) => value is SwitchParameter given ? given : LanguagePrimitives.IsTrue(value);

    private static T To<T>(string what, object? value)
    {
        try
        {
            return (T)LanguagePrimitives.ConvertTo(value, typeof(T), CultureInfo.InvariantCulture);
        }
        catch (PSInvalidCastException e)
        {
            throw new QuantException(ErrorIds.InvalidArgument, $"{what}: {e.Message}", value, e);
        }
    }

    private static object? Unwrap(object? value) => value is PSObject wrapped ? wrapped.BaseObject : value;
}
