using System.IO.Compression;
using QuantPS.Data.Sources;

namespace QuantPS.Data.Formats;

/// <summary>NumPy's .npz: a zip of .npy files, compressed or not. One tensor an entry, named by its key.</summary>
public sealed class NpzFormat : TensorFormat
{
    /// <inheritdoc/>
    public override string Name => ".npz";

    /// <inheritdoc/>
    public override IReadOnlyList<string> Extensions => [".npz"];

    /// <inheritdoc/>
    public override bool Matches(ReadOnlySpan<byte> head) => head.StartsWith("PK\u0003\u0004"u8);

    /// <inheritdoc/>
    public override IEnumerable<TensorSource> Open(InputFile file, bool grayscale)
    {
        using FileStream stream = file.OpenFile();
        using ZipArchive zip = OpenZip(file, stream);
        foreach (ZipArchiveEntry entry in zip.Entries)
        {
            if (!entry.FullName.EndsWith(".npy", StringComparison.Ordinal))
                continue;
            string key = entry.FullName[..^".npy".Length];
            string label = $"{file.Path}#{key}";
            yield return NpyFormat.Read(file, new InputStream(label, entry.Open(), entry.Length), label, key);
        }
    }

    private static ZipArchive OpenZip(InputFile file, FileStream stream)
    {
        try
        {
            return new ZipArchive(stream, ZipArchiveMode.Read);
        }
        catch (InvalidDataException e)
        {
            // A zip keeps its directory at the end: one that was cut off has none.
            throw file.NotA(".npz", $"{e.Message} It may be cut off.", e);
        }
    }
}
