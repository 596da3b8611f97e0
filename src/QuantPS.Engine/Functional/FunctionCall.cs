using System.Collections;
using System.Globalization;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Functional;

/// <summary>What a quantized function is called with, beside its first tensor.</summary>
public sealed class FunctionCall
{
    /// <summary>Name of the function, for messages.</summary>
    public required string Function { get; init; }

    /// <summary>Whose arithmetic.</summary>
    public EngineKind Engine { get; init; } = EngineKind.X86;

    /// <summary>ReLU, compat, version of PyTorch.</summary>
    public LayerOptions Options { get; init; } = new();

    /// <summary>Parameters of the result, where the function takes them.</summary>
    public QParams? Output { get; init; }

    /// <summary>The further tensors of add, mul, cat.</summary>
    public IReadOnlyList<QuantizedTensor> Others { get; init; } = [];

    /// <summary>PyTorch's keyword arguments: kernel_size, stride, dim, negative_slope, ...</summary>
    public IReadOnlyDictionary<string, object?> Arguments { get; init; } = new Dictionary<string, object?>();

    /// <summary>Parameters of the result.</summary>
    /// <exception cref="QuantException">InvalidArgument: not given.</exception>
    public QParams RequiredOutput() => Output ?? throw new QuantException(ErrorIds.InvalidArgument, $"{Function} needs the scale and zero point of its result.", Function);

    /// <summary>The second tensor.</summary>
    /// <exception cref="QuantException">InvalidArgument: none, or several.</exception>
    public QuantizedTensor Other() => Others.Count == 1 ? Others[0]
        : throw new QuantException(ErrorIds.InvalidArgument, $"{Function} takes one further tensor, not {Others.Count}.", Function);

    /// <summary>Whole numbers: one or several.</summary>
    /// <exception cref="QuantException">InvalidArgument: missing without a fallback, or not whole numbers.</exception>
    public int[]? Ints(string name, bool required = false) => Read(name, required) switch
    {
        null => null,
        IEnumerable many and not string => [.. many.Cast<object>().Select(v => Convert<int>(name, v))],
        object one => [Convert<int>(name, one)],
    };

    public double? Number(string name, bool required = false) => Read(name, required) is object v ? Convert<double>(name, v) : null;

    public bool Flag(string name, bool fallback) => Read(name, false) is object v ? Convert<bool>(name, v) : fallback;

    public string? Text(string name) => Read(name, false)?.ToString();

    private object? Read(string name, bool required) => Arguments.TryGetValue(name, out object? value) && value is not null ? value
        : required ? throw new QuantException(ErrorIds.InvalidArgument, $"{Function} needs the argument {name}.", Function) : null;

    private T Convert<T>(string name, object value)
    {
        try
        {
            return (T)System.Convert.ChangeType(value, typeof(T), CultureInfo.InvariantCulture);
        }
        catch (Exception e) when (e is FormatException or InvalidCastException or OverflowException)
        {
            throw new QuantException(ErrorIds.InvalidArgument, $"{Function}: '{value}' is no {typeof(T).Name} for {name}.", value, e);
        }
    }
}
