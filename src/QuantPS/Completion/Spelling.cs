using QuantPS.Engine.Numerics;
using QuantPS.Engine.Observers;

namespace QuantPS.Completion;

/// <summary>The names of an enum's values: PowerShell's (PerChannelAffine) and PyTorch's (per_channel_affine, torch.per_channel_affine, MinMaxObserver).</summary>
public static class Spelling<T> where T : struct, Enum
{
    private static readonly Dictionary<string, T> ByKey = Aliases();

    /// <summary>Both spellings of every value, in the enum's order, PyTorch's first.</summary>
    public static IReadOnlyList<(T Value, string PyTorch, string PowerShell)> Names { get; } =
        [.. Enum.GetValues<T>().Select(v => (v, Spellings.PyTorch(v), v.ToString()))];

    /// <summary>Reads either spelling; case, underscores, a module prefix and the suffix Observer do not matter.</summary>
    public static bool TryParse(string text, out T value) => ByKey.TryGetValue(Key(text), out value);

    /// <summary>"quint8 (QUInt8), qint8 (QInt8), ...", for error messages.</summary>
    public static string Known => string.Join(", ", Names.Select(n => n.PyTorch == n.PowerShell ? n.PyTorch : $"{n.PyTorch} ({n.PowerShell})"));

    /// <summary>Both spellings; int8, uint8, ... beside qint8, quint8, as PyTorch 2's observers take them and ONNX calls them.</summary>
    private static Dictionary<string, T> Aliases()
    {
        Dictionary<string, T> byKey = [];
        foreach (T value in Enum.GetValues<T>())
        {
            byKey.TryAdd(Key(value.ToString()), value);
            byKey.TryAdd(Key(Spellings.PyTorch(value)), value);
            if (value is QDType)
                byKey.TryAdd(Key(value.ToString()[1..]), value);
        }
        return byKey;
    }

    private static string Key(string text)
    {
        string key = text.Trim();
        key = key[(key.LastIndexOf('.') + 1)..].Replace("_", "", StringComparison.Ordinal).ToLowerInvariant();
        return typeof(T) == typeof(ObserverKind) && key.EndsWith("observer", StringComparison.Ordinal) ? key[..^"observer".Length] : key;
    }
}

/// <summary>PyTorch's spelling of our enums.</summary>
public static class Spellings
{
    /// <summary>quint8, per_channel_affine, MinMaxObserver, fbgemm, ...</summary>
    public static string PyTorch(Enum value) => value switch
    {
        QDType dtype => dtype.TorchName(),
        QScheme scheme => scheme.TorchName(),
        ObserverKind kind => $"{kind}Observer",
        _ => value.ToString().ToLowerInvariant(),
    };
}
