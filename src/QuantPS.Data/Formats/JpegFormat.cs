using System.Buffers.Binary;
using QuantPS.Data.Sources;
using QuantPS.Engine.Errors;

namespace QuantPS.Data.Formats;

/// <summary>.jpg images, baseline and progressive. Decoders differ by one grey level here and there: the standard leaves the rounding of the DCT open.</summary>
public sealed class JpegFormat : TensorFormat
{
    /// <inheritdoc/>
    public override string Name => ".jpg";

    /// <inheritdoc/>
    public override IReadOnlyList<string> Extensions => [".jpg", ".jpeg"];

    /// <inheritdoc/>
    public override bool Matches(ReadOnlySpan<byte> head) => head is [0xFF, 0xD8, 0xFF, ..];

    /// <inheritdoc/>
    public override IEnumerable<TensorSource> Open(InputFile file, bool grayscale)
    {
        byte[] bytes;
        using (InputStream stream = file.Open())
            bytes = stream.ReadToEnd();
        Check(file, bytes);
        yield return ImageDecoder.Decode(file, ".jpg", bytes, grayscale);
    }

    /// <summary>Walks the segments to the first scan and looks for the end marker behind it: the decoder fills what is missing with grey.</summary>
    private static void Check(InputFile file, ReadOnlySpan<byte> bytes)
    {
        if (bytes is not [0xFF, 0xD8, 0xFF, ..])
            throw file.NotA(".jpg", "it does not begin with the mark of a JPEG.");
        int at = 2;
        while (at + 4 <= bytes.Length)
        {
            if (bytes[at] != 0xFF)
                throw file.NotA(".jpg", $"there is no marker at byte {at}.");
            byte marker = bytes[at + 1];
            if (marker == 0xFF)
            {
                at++;
                continue;
            }
            if (marker == 0xDA)
            {
                if (bytes[at..].IndexOf<byte>([0xFF, 0xD9]) >= 0)
                    return;
                break;
            }
            at += 2 + BinaryPrimitives.ReadUInt16BigEndian(bytes[(at + 2)..]);
        }
        throw new QuantException(ErrorIds.FileTruncated, $"'{file.Path}' is cut off: expected an end-of-image marker (FFD9), but the file ends after {bytes.Length} bytes. Get the file again.", file.Path);
    }
}
