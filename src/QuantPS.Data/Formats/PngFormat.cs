using System.Buffers.Binary;
using QuantPS.Data.Sources;
using QuantPS.Engine.Errors;

namespace QuantPS.Data.Formats;

/// <summary>.png images.</summary>
public sealed class PngFormat : TensorFormat
{
    private static ReadOnlySpan<byte> Magic => [0x89, (byte)'P', (byte)'N', (byte)'G', 0x0D, 0x0A, 0x1A, 0x0A];

    /// <inheritdoc/>
    public override string Name => ".png";

    /// <inheritdoc/>
    public override IReadOnlyList<string> Extensions => [".png"];

    /// <inheritdoc/>
    public override bool Matches(ReadOnlySpan<byte> head) => head.StartsWith(Magic);

    /// <inheritdoc/>
    public override IEnumerable<TensorSource> Open(InputFile file, bool grayscale)
    {
        byte[] bytes;
        using (InputStream stream = file.Open())
            bytes = stream.ReadToEnd();
        Check(file, bytes);
        yield return ImageDecoder.Decode(file, ".png", bytes, grayscale);
    }

    /// <summary>Walks the chunks to IEND: the decoder itself takes a cut-off file for a damaged one.</summary>
    private static void Check(InputFile file, ReadOnlySpan<byte> bytes)
    {
        if (!bytes.StartsWith(Magic))
            throw file.NotA(".png", "it does not begin with the mark of a PNG.");
        const int frame = 12; // length, type, checksum
        for (long at = Magic.Length; ;)
        {
            if (at + frame > bytes.Length)
                throw Truncated(at);
            uint length = BinaryPrimitives.ReadUInt32BigEndian(bytes[(int)at..]);
            ReadOnlySpan<byte> type = bytes.Slice((int)at + 4, 4);
            if (at + frame + length > bytes.Length)
                throw Truncated(at);
            if (type.SequenceEqual("IEND"u8))
                return;
            at += frame + length;
        }

        QuantException Truncated(long at) => new(ErrorIds.FileTruncated, $"'{file.Path}' is cut off: the chunk at byte {at} is not whole, expected an IEND chunk at the end. Get the file again.", file.Path);
    }
}
