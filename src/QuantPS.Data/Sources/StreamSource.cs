using QuantPS.Data.Elements;

namespace QuantPS.Data.Sources;

/// <summary>Row-major numbers of one type in a stream that stands at the first of them; holds a small buffer only.</summary>
public sealed class StreamSource : TensorSource
{
    private const int BufferBytes = 1 << 16;

    private readonly InputStream stream;
    private readonly ElementType type;
    private readonly bool bigEndian;
    private readonly byte[] buffer;

    /// <exception cref="Engine.Errors.QuantException">FileTruncated: the stream's length is known and too short.</exception>
    public StreamSource(string label, int[] shape, SourceKind kind, InputStream stream, ElementType type, bool bigEndian, string? name = null)
        : base(label, shape, kind, name)
    {
        this.stream = stream;
        this.type = type;
        this.bigEndian = bigEndian;
        long bytes = (long)Rows * RowLength * type.Size;
        stream.Require(bytes, $"{Rows * (long)RowLength} elements of {type}");
        buffer = new byte[Math.Min(bytes, BufferBytes)];
    }

    /// <inheritdoc/>
    public override void Read(Span<float> destination, CancellationToken cancellation)
    {
        while (!destination.IsEmpty)
        {
            cancellation.ThrowIfCancellationRequested();
            int count = Math.Min(destination.Length, buffer.Length / type.Size);
            Span<byte> bytes = buffer.AsSpan(0, count * type.Size);
            stream.ReadExactly(bytes, Expected);
            type.Read(bytes, bigEndian, destination[..count]);
            destination = destination[count..];
        }
    }

    /// <inheritdoc/>
    public override void Skip(int rows, CancellationToken cancellation) => stream.Skip((long)rows * RowLength * type.Size, Expected, cancellation);

    private string Expected() => $"{Rows} x {RowLength} elements of {type}";

    protected override void Dispose(bool disposing)
    {
        if (disposing)
            stream.Dispose();
    }
}
