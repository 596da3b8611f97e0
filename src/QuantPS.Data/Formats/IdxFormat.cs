using System.Buffers.Binary;
using QuantPS.Data.Elements;
using QuantPS.Data.Sources;

namespace QuantPS.Data.Formats;

/// <summary>MNIST's idx, gzipped or not: a list of samples along the first dimension. Rank 3 is grey images [N, H, W], read as [N, 1, H, W]; rank 1 is labels.</summary>
/// <remarks>Source: yann.lecun.com/exdb/mnist, "the IDX file format". Everything is big-endian.</remarks>
public sealed class IdxFormat : TensorFormat
{
    private static readonly Dictionary<byte, ElementType> Types = new()
    {
        [0x08] = ElementType.UInt8,
        [0x09] = ElementType.Int8,
        [0x0B] = ElementType.Int16,
        [0x0C] = ElementType.Int32,
        [0x0D] = ElementType.Float32,
        [0x0E] = ElementType.Float64,
    };

    /// <inheritdoc/>
    public override string Name => "idx";

    /// <inheritdoc/>
    public override IReadOnlyList<string> Extensions => [".idx", "-ubyte", ".idx1", ".idx3"];

    /// <inheritdoc/>
    public override bool Matches(ReadOnlySpan<byte> head) => head is [0, 0, var type, >= 1 and <= 8, ..] && Types.ContainsKey(type);

    /// <inheritdoc/>
    public override IEnumerable<TensorSource> Open(InputFile file, bool grayscale)
    {
        yield return OpenSource(file);
    }

    private static StreamSource OpenSource(InputFile file)
    {
        InputStream stream = file.Open();
        try
        {
            byte[] magic = new byte[4];
            stream.ReadExactly(magic, () => "the 4 bytes that begin an idx file");
            if (magic[0] != 0 || magic[1] != 0 || magic[3] == 0 || !Types.TryGetValue(magic[2], out ElementType? type))
                throw file.NotA("idx", $"it begins with {Convert.ToHexString(magic)}, not with 0000, a known type and a rank.");
            byte[] sizes = new byte[4 * magic[3]];
            stream.ReadExactly(sizes, () => $"{magic[3]} dimensions");
            int[] shape = new int[magic[3]];
            for (int d = 0; d < shape.Length; d++)
                if ((shape[d] = BinaryPrimitives.ReadInt32BigEndian(sizes.AsSpan(4 * d))) < 0)
                    throw file.NotA("idx", $"dimension {d} is {shape[d]}.");
            bool images = shape.Length == 3;
            return new StreamSource(file.Path, images ? [shape[0], 1, shape[1], shape[2]] : shape, images ? SourceKind.Images : SourceKind.Samples, stream, type, bigEndian: true);
        }
        catch
        {
            stream.Dispose();
            throw;
        }
    }
}
