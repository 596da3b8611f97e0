using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace QuantPS.Data.Elements;

/// <summary>How a file stores one number, and how it becomes float32. Integers beyond 2^24 and float64 are rounded to the nearest float32.</summary>
public sealed class ElementType
{
    private delegate float Decode(ReadOnlySpan<byte> element);

    private readonly Decode decode;

    private ElementType(string name, int size, Decode decode)
    {
        Name = name;
        Size = size;
        this.decode = decode;
    }

    public static ElementType Bool { get; } = new("bool", 1, b => b[0] != 0 ? 1 : 0);

    public static ElementType UInt8 { get; } = new("uint8", 1, b => b[0]);

    public static ElementType Int8 { get; } = new("int8", 1, b => (sbyte)b[0]);

    public static ElementType UInt16 { get; } = new("uint16", 2, b => BinaryPrimitives.ReadUInt16LittleEndian(b));

    public static ElementType Int16 { get; } = new("int16", 2, b => BinaryPrimitives.ReadInt16LittleEndian(b));

    public static ElementType UInt32 { get; } = new("uint32", 4, b => BinaryPrimitives.ReadUInt32LittleEndian(b));

    public static ElementType Int32 { get; } = new("int32", 4, b => BinaryPrimitives.ReadInt32LittleEndian(b));

    public static ElementType UInt64 { get; } = new("uint64", 8, b => BinaryPrimitives.ReadUInt64LittleEndian(b));

    public static ElementType Int64 { get; } = new("int64", 8, b => BinaryPrimitives.ReadInt64LittleEndian(b));

    public static ElementType Float16 { get; } = new("float16", 2, b => (float)BinaryPrimitives.ReadHalfLittleEndian(b));

    /// <summary>The upper half of a float32.</summary>
    public static ElementType BFloat16 { get; } =
        new("bfloat16", 2, b => BitConverter.UInt32BitsToSingle((uint)BinaryPrimitives.ReadUInt16LittleEndian(b) << 16));

    public static ElementType Float32 { get; } = new("float32", 4, b => BinaryPrimitives.ReadSingleLittleEndian(b));

    public static ElementType Float64 { get; } = new("float64", 8, b => (float)BinaryPrimitives.ReadDoubleLittleEndian(b));

    public string Name { get; }

    /// <summary>Bytes an element.</summary>
    public int Size { get; }

    /// <summary>Decodes a block of elements.</summary>
    /// <param name="source">As many elements as <paramref name="destination"/> has; its bytes are swapped in place when big-endian.</param>
    /// <param name="bigEndian">The byte order of the file.</param>
    /// <param name="destination">float32.</param>
    public void Read(Span<byte> source, bool bigEndian, Span<float> destination)
    {
        if (bigEndian && Size > 1)
            for (int i = 0; i < source.Length; i += Size)
                source.Slice(i, Size).Reverse();
        if (this == Float32 && BitConverter.IsLittleEndian)
        {
            MemoryMarshal.Cast<byte, float>(source).CopyTo(destination);
            return;
        }
        if (this == UInt8)
        {
            for (int i = 0; i < destination.Length; i++)
                destination[i] = source[i];
            return;
        }
        for (int i = 0; i < destination.Length; i++)
            destination[i] = decode(source.Slice(i * Size, Size));
    }

    public override string ToString() => Name;
}
