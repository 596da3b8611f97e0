using System.IO.Compression;

namespace QuantPS.Data.Sources;

/// <summary>A gzip file's content; knows whether the file was read to its end, which tells a cut-off file from a damaged one.</summary>
internal sealed class DecompressedStream : Stream
{
    private readonly FileStream file;
    private readonly GZipStream gzip;

    public DecompressedStream(FileStream file)
    {
        this.file = file;
        gzip = new GZipStream(file, CompressionMode.Decompress);
    }

    public bool AtEndOfFile => file.Position >= file.Length;

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public override int Read(byte[] buffer, int offset, int count) => gzip.Read(buffer, offset, count);

    public override int Read(Span<byte> buffer) => gzip.Read(buffer);

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing)
            gzip.Dispose();
        base.Dispose(disposing);
    }
}
