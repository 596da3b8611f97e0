using System.Buffers.Binary;
using System.Text.Json;
using QuantPS.Data.Elements;
using QuantPS.Data.Sources;
using QuantPS.Engine.Errors;

namespace QuantPS.Data.Formats;

/// <summary>Hugging Face's .safetensors: one tensor a key, in the order of the data.</summary>
/// <remarks>Source: github.com/huggingface/safetensors, README "Format": u64 header size, JSON header, row-major little-endian data.</remarks>
public sealed class SafetensorsFormat : TensorFormat
{
    private const long MaxHeaderBytes = 100_000_000;

    private static readonly Dictionary<string, ElementType> Types = new()
    {
        ["BOOL"] = ElementType.Bool,
        ["U8"] = ElementType.UInt8,
        ["I8"] = ElementType.Int8,
        ["U16"] = ElementType.UInt16,
        ["I16"] = ElementType.Int16,
        ["U32"] = ElementType.UInt32,
        ["I32"] = ElementType.Int32,
        ["U64"] = ElementType.UInt64,
        ["I64"] = ElementType.Int64,
        ["F16"] = ElementType.Float16,
        ["BF16"] = ElementType.BFloat16,
        ["F32"] = ElementType.Float32,
        ["F64"] = ElementType.Float64,
    };

    private sealed record Entry(string Key, string DType, int[] Shape, long Begin, long End);

    /// <inheritdoc/>
    public override string Name => ".safetensors";

    /// <inheritdoc/>
    public override IReadOnlyList<string> Extensions => [".safetensors"];

    /// <inheritdoc/>
    public override bool Matches(ReadOnlySpan<byte> head) =>
        head.Length > 8 && head[8] == '{' && BinaryPrimitives.ReadUInt64LittleEndian(head) is >= 2 and <= (ulong)MaxHeaderBytes;

    /// <inheritdoc/>
    public override IEnumerable<TensorSource> Open(InputFile file, bool grayscale)
    {
        (List<Entry> entries, long dataStart) = ReadHeader(file);
        foreach (Entry entry in entries)
            yield return OpenEntry(file, entry, dataStart);
    }

    private static StreamSource OpenEntry(InputFile file, Entry entry, long dataStart)
    {
        string label = $"{file.Path}#{entry.Key}";
        if (!Types.TryGetValue(entry.DType, out ElementType? type))
            throw new QuantException(ErrorIds.UnsupportedDType, $"'{label}' has the type {entry.DType}; {string.Join(", ", Types.Keys)} can be read.", label);
        InputStream stream = file.Open();
        try
        {
            stream.Skip(dataStart + entry.Begin, () => $"the data of '{entry.Key}' at byte {dataStart + entry.Begin}");
            StreamSource source = new(label, entry.Shape, SourceKind.Array, stream, type, bigEndian: false, entry.Key);
            if ((long)source.Rows * source.RowLength * type.Size != entry.End - entry.Begin)
                throw file.NotA(".safetensors", $"'{entry.Key}' has {entry.End - entry.Begin} bytes of data for {source.Rows} x {source.RowLength} elements of {type}.");
            return source;
        }
        catch
        {
            stream.Dispose();
            throw;
        }
    }

    private static (List<Entry> Entries, long DataStart) ReadHeader(InputFile file)
    {
        using InputStream stream = file.Open();
        byte[] size = new byte[8];
        stream.ReadExactly(size, () => "the size of the header (8 bytes)");
        ulong headerBytes = BinaryPrimitives.ReadUInt64LittleEndian(size);
        if (headerBytes is < 2 or > (ulong)MaxHeaderBytes)
            throw file.NotA(".safetensors", $"its header claims {headerBytes} bytes.");
        stream.Require((long)headerBytes, "the header");
        byte[] header = new byte[headerBytes];
        stream.ReadExactly(header, () => $"a header of {headerBytes} bytes");
        try
        {
            using JsonDocument json = JsonDocument.Parse(header);
            List<Entry> entries = [.. json.RootElement.EnumerateObject().Where(p => p.Name != "__metadata__").Select(p => new Entry(
                p.Name,
                p.Value.GetProperty("dtype").GetString() ?? "",
                [.. p.Value.GetProperty("shape").EnumerateArray().Select(d => d.GetInt32())],
                p.Value.GetProperty("data_offsets")[0].GetInt64(),
                p.Value.GetProperty("data_offsets")[1].GetInt64())).OrderBy(e => e.Begin)];
            if (entries.Find(e => e.Begin < 0 || e.End < e.Begin) is Entry bad)
                throw file.NotA(".safetensors", $"'{bad.Key}' lies at bytes {bad.Begin} to {bad.End}.");
            return (entries, 8 + (long)headerBytes);
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException or IndexOutOfRangeException)
        {
            throw file.NotA(".safetensors", $"its header is not as it should be ({e.Message})", e);
        }
    }
}
