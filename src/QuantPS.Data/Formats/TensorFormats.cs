using QuantPS.Data.Sources;
using QuantPS.Engine.Errors;

namespace QuantPS.Data.Formats;

/// <summary>Every format, a line each.</summary>
public static class TensorFormats
{
    private static readonly TensorFormat[] Formats =
    [
        new NpyFormat(),
        new NpzFormat(),
        new PngFormat(),
        new JpegFormat(),
        new IdxFormat(),
        new SafetensorsFormat(),
        new TensorProtoFormat(),
        new CsvFormat(),
    ];

    /// <summary>What can be read, for messages.</summary>
    public static string Readable => string.Join(", ", Formats.Select(f => f.Name));

    /// <summary>What can be written, for messages.</summary>
    public static string Writable => string.Join(", ", Formats.Where(f => f.CanWrite).Select(f => f.Name));

    /// <summary>The arrays in a file. Its content decides the format; where that is silent (or damaged), its extension.</summary>
    /// <exception cref="QuantException">FileFormat, FileTruncated, UnsupportedDType.</exception>
    public static IEnumerable<TensorSource> Open(string path, bool grayscale = false)
    {
        InputFile file = new(path);
        TensorFormat format = Array.Find(Formats, f => f.Matches(file.Head)) ?? ByExtension(file.Name)
            ?? throw new QuantException(ErrorIds.FileFormat, $"'{path}' is none of the formats that can be read: {Readable} (each also .gz).", path);
        return format.Open(file, grayscale);
    }

    /// <summary>The format to write, by extension.</summary>
    /// <exception cref="QuantException">FileFormat.</exception>
    public static TensorFormat Writer(string path) => ByExtension(Path.GetFileName(path)) is { CanWrite: true } format
        ? format
        : throw new QuantException(ErrorIds.FileFormat, $"'{path}' has no extension that can be written; use {Writable}.", path);

    private static TensorFormat? ByExtension(string name) =>
        Array.Find(Formats, f => f.Extensions.Any(e => name.EndsWith(e, StringComparison.OrdinalIgnoreCase)));
}
