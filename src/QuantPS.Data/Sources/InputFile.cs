using QuantPS.Engine.Errors;

namespace QuantPS.Data.Sources;

/// <summary>A file to read, decompressed on the way when its first bytes say gzip.</summary>
public sealed class InputFile
{
    private const int HeadBytes = 16;
    private readonly bool gzip;

    /// <exception cref="QuantException">FileTruncated: an empty file. System exceptions when it cannot be opened.</exception>
    public InputFile(string path)
    {
        Path = path;
        Name = System.IO.Path.GetFileName(path);
        Head = ReadHead();
        if (Head.Length == 0)
            throw new QuantException(ErrorIds.FileTruncated, $"'{path}' is empty.", path);
        gzip = Head is [0x1F, 0x8B, ..];
        if (!gzip)
            return;
        if (Name.EndsWith(".gz", StringComparison.OrdinalIgnoreCase))
            Name = Name[..^".gz".Length];
        Head = ReadHead();
    }

    public string Path { get; }

    /// <summary>The file's name without .gz, for what its extension says.</summary>
    public string Name { get; }

    /// <summary>The first bytes of the content, at most 16.</summary>
    public byte[] Head { get; }

    /// <summary>The content from its beginning.</summary>
    public InputStream Open()
    {
        FileStream file = OpenFile();
        return gzip ? new InputStream(Path, new DecompressedStream(file), null) : new InputStream(Path, file, file.Length);
    }

    /// <summary>The file as it lies on the disk.</summary>
    public FileStream OpenFile() => new(Path, FileMode.Open, FileAccess.Read, FileShare.Read);

    /// <summary>An error that says that the content is not what was expected.</summary>
    public QuantException NotA(string format, string why, Exception? inner = null) =>
        new(ErrorIds.FileFormat, $"'{Path}' is not a readable {format} file: {why}", Path, inner);

    private byte[] ReadHead()
    {
        using FileStream file = OpenFile();
        using Stream content = gzip ? new DecompressedStream(file) : file;
        byte[] head = new byte[HeadBytes];
        try
        {
            return head[..content.ReadAtLeast(head, head.Length, throwOnEndOfStream: false)];
        }
        catch (InvalidDataException e) when (content is DecompressedStream { AtEndOfFile: true })
        {
            throw new QuantException(ErrorIds.FileTruncated, $"'{Path}' is cut off: the compressed data ends early. Get the file again.", Path, e);
        }
    }
}
