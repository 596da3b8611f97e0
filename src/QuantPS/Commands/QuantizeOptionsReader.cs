using System.Collections;
using System.Globalization;
using System.Management.Automation;
using QuantPS.Completion;
using QuantPS.Engine.Configuration;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Onnx.Quantization;

namespace QuantPS.Commands;

/// <summary>The hashtables of ConvertTo-Quantized -TensorOverride.</summary>
internal static class QuantizeOptionsReader
{
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
                nameof(TensorOverride.DType) => made with { DType = DType(tensor, field.Value) },
                nameof(TensorOverride.Symmetric) => made with { Symmetric = To<bool>(tensor, key, field.Value) },
                nameof(TensorOverride.ReduceRange) => made with { ReduceRange = To<bool>(tensor, key, field.Value) },
                nameof(TensorOverride.Axis) => made with { Axis = To<int>(tensor, key, field.Value) },
                nameof(TensorOverride.Scale) => made with { Scale = [.. To<float[]>(tensor, key, field.Value)] },
                nameof(TensorOverride.ZeroPoint) => made with { ZeroPoint = [.. To<int[]>(tensor, key, field.Value)] },
                nameof(TensorOverride.Min) => made with { Min = [.. To<float[]>(tensor, key, field.Value)] },
                nameof(TensorOverride.Max) => made with { Max = [.. To<float[]>(tensor, key, field.Value)] },
                ConvertKey => made with { Convert = One(tensor, field.Value, nested: true) },
                _ => made with { ConvertFor = [.. To<string[]>(tensor, key, field.Value)] },
            };
        }
        return made;
    }

    private static QDType DType(string tensor, object? value) => Unwrap(value) switch
    {
        QDType known => known,
        string text when Spelling<QDType>.TryParse(text, out QDType known) => known,
        var other => throw new QuantException(ErrorIds.InvalidArgument,
            $"-TensorOverride '{tensor}': '{other}' is not one of {Spelling<QDType>.Known}.", other),
    };

    private static T To<T>(string tensor, string key, object? value)
    {
        try
        {
            return (T)LanguagePrimitives.ConvertTo(value, typeof(T), CultureInfo.InvariantCulture);
        }
        catch (PSInvalidCastException e)
        {
            throw new QuantException(ErrorIds.InvalidArgument, $"-TensorOverride '{tensor}', {key}: {e.Message}", value, e);
        }
    }

    private static object? Unwrap(object? value) => value is PSObject wrapped ? wrapped.BaseObject : value;
}
