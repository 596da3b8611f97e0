using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using System.Text.Json;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Tests.Golden;

/// <summary>A file of tests/golden: {"meta": ..., "cases": [...]}, each case with an "id".</summary>
/// <remarks>Read once a process. A theory takes its rows from <see cref="Ids"/> and finds its case again by id, so that every case is a test of
/// its own and the test's name stays short.</remarks>
public sealed class GoldenFile
{
    private static readonly ConcurrentDictionary<string, Lazy<GoldenFile>> Loaded = new();
    private readonly Dictionary<string, JsonElement> byId;

    private GoldenFile(string name)
    {
        using FileStream stream = File.OpenRead(Path.Combine(AppContext.BaseDirectory, "golden", name));
        JsonElement root = JsonDocument.Parse(stream).RootElement;
        Meta = root.GetProperty("meta");
        Cases = [.. root.GetProperty("cases").EnumerateArray()];
        byId = Cases.ToDictionary(c => c.GetProperty("id").GetString()!);
    }

    /// <summary>Who made the file, and with what.</summary>
    public JsonElement Meta { get; }

    public IReadOnlyList<JsonElement> Cases { get; }

    /// <summary>The case with this id.</summary>
    public JsonElement this[string id] => byId[id];

    /// <summary>Loads a golden file by its name, such as "quantize_torch113.json".</summary>
    public static GoldenFile Load(string name) => Loaded.GetOrAdd(name, n => new Lazy<GoldenFile>(() => new GoldenFile(n))).Value;

    /// <summary>The ids of the cases, as rows of a theory; all of them, or those that pass <paramref name="where"/>.</summary>
    public static TheoryData<string> Ids(string name, Func<JsonElement, bool>? where = null) =>
        [.. Load(name).Cases.Where(where ?? (_ => true)).Select(c => c.GetProperty("id").GetString()!)];
}

/// <summary>Decodes the values of a golden case. A tensor is {"dt": "u1|i1|i4|i8|f4|f8", "sh": shape, "d": base64 of little-endian bytes}.</summary>
public static class GoldenElement
{
    /// <summary>The shape of a tensor.</summary>
    public static int[] Shape(this JsonElement tensor) => tensor.GetProperty("sh").Ints();

    /// <summary>The NumPy code of a tensor's element type: u1, i1, i4, i8, f4 or f8.</summary>
    public static string DType(this JsonElement tensor) => tensor.GetProperty("dt").GetString()!;

    /// <summary>The elements of a tensor as they are stored; T has to be the type that "dt" names.</summary>
    public static T[] Elements<T>(this JsonElement tensor) where T : unmanaged
    {
        string wanted = typeof(T) == typeof(byte) ? "u1" : typeof(T) == typeof(sbyte) ? "i1" : typeof(T) == typeof(int) ? "i4"
            : typeof(T) == typeof(long) ? "i8" : typeof(T) == typeof(float) ? "f4" : typeof(T) == typeof(double) ? "f8" : "?";
        if (tensor.DType() != wanted)
            throw new InvalidDataException($"The golden tensor holds {tensor.DType()}, not {wanted}.");
        return MemoryMarshal.Cast<byte, T>(tensor.GetProperty("d").GetBytesFromBase64()).ToArray();
    }

    /// <summary>The elements of an integer tensor of any width, widened.</summary>
    public static int[] Integers(this JsonElement tensor) => tensor.DType() switch
    {
        "u1" => Array.ConvertAll(tensor.Elements<byte>(), v => (int)v),
        "i1" => Array.ConvertAll(tensor.Elements<sbyte>(), v => (int)v),
        "i4" => tensor.Elements<int>(),
        "i8" => Array.ConvertAll(tensor.Elements<long>(), v => checked((int)v)),
        string other => throw new InvalidDataException($"The golden tensor holds {other}, not integers."),
    };

    /// <summary>A float32 tensor.</summary>
    public static Tensor Tensor(this JsonElement tensor) => new(tensor.Shape(), tensor.Elements<float>());

    /// <summary>True where the golden has null or no value of this name.</summary>
    public static bool IsMissing(this JsonElement element, string name) => !element.TryGetProperty(name, out JsonElement v) || v.ValueKind == JsonValueKind.Null;

    /// <summary>A JSON array of integers, or one integer.</summary>
    public static int[] Ints(this JsonElement numbers) => numbers.ValueKind == JsonValueKind.Array ? [.. numbers.EnumerateArray().Select(v => v.GetInt32())] : [numbers.GetInt32()];

    /// <summary>A JSON array of float32 values (printed as doubles, which is exact), or one of them.</summary>
    public static float[] Singles(this JsonElement numbers) => numbers.ValueKind == JsonValueKind.Array ? [.. numbers.EnumerateArray().Select(Single)] : [Single(numbers)];

    /// <summary>A number that is a float32 value. JSON has no infinities and no NaN: they come as the strings "inf", "-inf" and "nan".</summary>
    public static float Single(this JsonElement number)
    {
        if (number.ValueKind != JsonValueKind.String)
            return (float)number.GetDouble();
        return number.GetString() switch
        {
            "inf" => float.PositiveInfinity,
            "-inf" => float.NegativeInfinity,
            "nan" => float.NaN,
            var other => throw new InvalidDataException($"'{other}' is not a number."),
        };
    }

    /// <summary>Base64 text as bytes (the expected outputs of the kernel goldens).</summary>
    public static byte[] Base64(this JsonElement text) => text.GetBytesFromBase64();
}
