using QuantPS.Engine.Errors;

namespace QuantPS.Data.Sources;

/// <summary>A stream of a file (or of a part of it) whose early end is an error that names the file and what was expected.</summary>
public sealed class InputStream : IDisposable
{
    private readonly string label;
    private readonly Stream stream;
    private readonly IDisposable? owner;
    private readonly long? length;
    private long position;

    /// <param name="label">The file, and the entry in it, for messages.</param>
    /// <param name="stream">Read from its present position.</param>
    /// <param name="length">Bytes from there on, when known.</param>
    /// <param name="owner">What else to dispose.</param>
    public InputStream(string label, Stream stream, long? length, IDisposable? owner = null)
    {
        this.label = label;
        this.stream = stream;
        this.length = length;
        this.owner = owner;
    }

    /// <summary>Throws when it is known that fewer bytes follow.</summary>
    /// <exception cref="QuantException">FileTruncated.</exception>
    public void Require(long bytes, string what)
    {
        if (length - position < bytes)
            throw Truncated($"{what} ({bytes} bytes)", $"{length - position} bytes follow");
    }

    /// <summary>Fills the buffer.</summary>
    /// <exception cref="QuantException">FileTruncated.</exception>
    public void ReadExactly(Span<byte> buffer, Func<string> what)
    {
        int read;
        try
        {
            read = stream.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false);
        }
        catch (InvalidDataException e) when (stream is DecompressedStream { AtEndOfFile: true })
        {
            // What GZipStream throws for a file that was cut off.
            throw Truncated(what(), "the compressed data ends early", e);
        }
        position += read;
        if (read < buffer.Length)
            throw Truncated(what(), $"the file ends {buffer.Length - read} bytes early");
    }

    /// <summary>Everything that is left.</summary>
    public byte[] ReadToEnd()
    {
        using MemoryStream all = new();
        try
        {
            stream.CopyTo(all);
        }
        catch (InvalidDataException e) when (stream is DecompressedStream { AtEndOfFile: true })
        {
            throw Truncated("more data", "the compressed data ends early", e);
        }
        return all.ToArray();
    }

    /// <summary>Passes over bytes: by seeking where that works.</summary>
    /// <exception cref="QuantException">FileTruncated.</exception>
    public void Skip(long bytes, Func<string> what, CancellationToken cancellation = default)
    {
        if (stream.CanSeek)
        {
            if (length - position < bytes)
                throw Truncated(what(), $"{length - position} bytes follow");
            stream.Seek(bytes, SeekOrigin.Current);
            position += bytes;
            return;
        }
        byte[] scratch = new byte[(int)Math.Min(bytes, 1 << 16)];
        while (bytes > 0)
        {
            cancellation.ThrowIfCancellationRequested();
            int n = (int)Math.Min(bytes, scratch.Length);
            ReadExactly(scratch.AsSpan(0, n), what);
            bytes -= n;
        }
    }

    private QuantException Truncated(string what, string found, Exception? inner = null) =>
        new(ErrorIds.FileTruncated, $"'{label}' is cut off: expected {what}, but {found}. Get the file again.", label, inner);

    /// <inheritdoc/>
    public void Dispose()
    {
        stream.Dispose();
        owner?.Dispose();
    }
}
