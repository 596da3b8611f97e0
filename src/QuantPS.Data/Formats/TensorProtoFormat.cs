using System.Buffers.Binary;
using System.Text;
using QuantPS.Data.Elements;
using QuantPS.Data.Sources;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;

namespace QuantPS.Data.Formats;

/// <summary>ONNX's .pb: one TensorProto, as the data sets beside ONNX models have them. Every type of numbers but float8 and complex, and booleans.</summary>
/// <remarks>Source: onnx/onnx.proto, message TensorProto (numbers of fields and types, which field holds which type); protobuf's wire format.</remarks>
public sealed class TensorProtoFormat : TensorFormat
{
    private const int UInt4 = 21, Int4 = 22;

    /// <summary>By the number in TensorProto.DataType.</summary>
    private static readonly Dictionary<int, ElementType> Types = new()
    {
        [1] = ElementType.Float32,
        [2] = ElementType.UInt8,
        [3] = ElementType.Int8,
        [4] = ElementType.UInt16,
        [5] = ElementType.Int16,
        [6] = ElementType.Int32,
        [7] = ElementType.Int64,
        [9] = ElementType.Bool,
        [10] = ElementType.Float16,
        [11] = ElementType.Float64,
        [12] = ElementType.UInt32,
        [13] = ElementType.UInt64,
        [16] = ElementType.BFloat16,
    };

    /// <summary>Numbers of TensorProto's fields.</summary>
    private enum Field
    {
        Dims = 1,
        DataType = 2,
        Segment = 3,
        FloatData = 4,
        Int32Data = 5,
        Int64Data = 7,
        Name = 8,
        RawData = 9,
        DoubleData = 10,
        UInt64Data = 11,
        DataLocation = 14,
    }

    /// <summary>How a field's value is written.</summary>
    private enum Wire
    {
        Varint = 0,
        EightBytes = 1,
        Bytes = 2,
        FourBytes = 5,
    }

    /// <inheritdoc/>
    public override string Name => ".pb";

    /// <inheritdoc/>
    public override IReadOnlyList<string> Extensions => [".pb"];

    /// <summary>A message of protobuf begins with nothing of its own; the extension has to tell.</summary>
    public override bool Matches(ReadOnlySpan<byte> head) => false;

    /// <inheritdoc/>
    public override IEnumerable<TensorSource> Open(InputFile file, bool grayscale)
    {
        using InputStream stream = file.Open();
        yield return Read(file, stream.ReadToEnd());
    }

    private static MemorySource Read(InputFile file, byte[] bytes)
    {
        List<long> dims = [];
        int type = 0;
        string? name = null;
        byte[]? raw = null;
        // What is not raw.
        List<byte> reals = [];
        List<long> integers = [];
        var reader = new WireReader(file, bytes);
        while (reader.Next(out int number, out Wire wire))
        {
            switch ((Field)number)
            {
                case Field.Dims:
                    dims.AddRange(reader.Varints(wire));
                    break;
                case Field.DataType:
                    type = checked((int)reader.Varints(wire)[0]);
                    break;
                case Field.Name:
                    name = Encoding.UTF8.GetString(reader.Bytes(wire));
                    break;
                case Field.RawData:
                    raw = reader.Bytes(wire).ToArray();
                    break;
                case Field.Segment:
                    throw file.NotA(".pb", "it is a list of tensors, or a part of one; single tensors can be read.");
                case Field.FloatData or Field.DoubleData:
                    reals.AddRange(reader.Fixed(wire));
                    break;
                case Field.Int32Data or Field.Int64Data or Field.UInt64Data:
                    integers.AddRange(reader.Varints(wire));
                    break;
                case Field.DataLocation when reader.Varints(wire)[0] != 0:
                    throw new QuantException(ErrorIds.UnsupportedDType,
                        $"'{file.Path}' keeps its values in another file. Save the tensor with its data (onnx.load_tensor, onnx.save_tensor).", file.Path);
                default:
                    reader.Skip(wire);
                    break;
            }
        }
        // No type takes less than half a byte.
        if (dims.Aggregate(1.0, (a, b) => a * b) > 2.0 * bytes.Length)
            throw file.NotA(".pb", $"the shape [{string.Join(", ", dims)}] takes more than its {bytes.Length} bytes; it is no TensorProto, or cut off.");
        int[] shape = dims.TrueForAll(d => d is >= 0 and <= int.MaxValue) ? [.. dims.Select(d => (int)d)]
            : throw file.NotA(".pb", $"the shape [{string.Join(", ", dims)}] cannot be.");
        return new MemorySource(file.Path, shape, SourceKind.Array, Decode(file, type, shape, raw ?? Raw(type, reals, integers)), name is { Length: > 0 } ? name : null);
    }

    /// <summary>The bytes that raw data would have.</summary>
    private static byte[] Raw(int type, List<byte> reals, List<long> integers)
    {
        int size = Types.TryGetValue(type, out ElementType? element) ? element.Size : 1;
        // Each is written whole, and the next one goes over what it has too many.
        byte[] bytes = new byte[size * integers.Count + 8];
        for (int i = 0; i < integers.Count; i++)
            BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(i * size), integers[i]);
        return [.. reals, .. bytes[..(size * integers.Count)]];
    }

    private static float[] Decode(InputFile file, int type, int[] shape, byte[] bytes)
    {
        float[] values = new float[TensorShape.Count(shape)];
        bool fourBit = type is UInt4 or Int4;
        if (!Types.TryGetValue(type, out ElementType? element) && !fourBit)
        {
            throw type == 0
                ? file.NotA(".pb", "it is no TensorProto, which has a type. A frozen graph and a list of tensors have the extension too.")
                : new QuantException(ErrorIds.UnsupportedDType, $"'{file.Path}' holds elements of ONNX's type {type}, which are no numbers that float32 "
                    + $"can hold. Those that can be read: {string.Join(", ", Types.Values)}, uint4, int4.", file.Path);
        }
        long expected = fourBit ? (values.Length + 1) / 2 : (long)values.Length * element!.Size;
        if (bytes.Length != expected)
        {
            throw new QuantException(bytes.Length < expected ? ErrorIds.FileTruncated : ErrorIds.FileFormat,
                $"'{file.Path}' has {bytes.Length} bytes of data, but the shape [{TensorShape.Format(shape)}] takes {expected}. Get the file again.", file.Path);
        }
        for (int i = 0; fourBit && i < values.Length; i++)
        {
            int nibble = bytes[i >> 1] >> 4 * (i & 1) & 15;
            values[i] = type == Int4 ? (nibble ^ 8) - 8 : nibble;
        }
        if (!fourBit)
            element!.Read(bytes, bigEndian: false, values);
        return values;
    }

    /// <summary>Fields of a message, one after the other.</summary>
    private sealed class WireReader(InputFile file, byte[] bytes)
    {
        private int position;

        public bool Next(out int number, out Wire wire)
        {
            (number, wire) = (0, Wire.Varint);
            if (position == bytes.Length)
                return false;
            ulong key = Varint();
            (number, wire) = ((int)(key >> 3), (Wire)(key & 7));
            return number > 0 && Enum.IsDefined(wire) ? true : throw file.NotA(".pb", $"there is no field at byte {position}; it is no TensorProto.");
        }

        /// <summary>One number, or a packed list.</summary>
        public List<long> Varints(Wire wire)
        {
            if (wire == Wire.Varint)
                return [(long)Varint()];
            int length = Bytes(wire).Length, end = position;
            List<long> values = [];
            for (position -= length; position < end;)
                values.Add((long)Varint());
            return values;
        }

        /// <summary>Little-endian numbers of 4 or 8 bytes: one, or a packed list.</summary>
        public byte[] Fixed(Wire wire) => wire switch
        {
            Wire.FourBytes => Take(4).ToArray(),
            Wire.EightBytes => Take(8).ToArray(),
            _ => Bytes(wire).ToArray(),
        };

        public ReadOnlySpan<byte> Bytes(Wire wire)
        {
            if (wire != Wire.Bytes)
                throw file.NotA(".pb", $"a field at byte {position} has the wrong type; it is no TensorProto.");
            return Take(Varint());
        }

        public void Skip(Wire wire)
        {
            if (wire == Wire.Varint)
                Varint();
            else
                Fixed(wire);
        }

        private ReadOnlySpan<byte> Take(ulong count)
        {
            if (count > (ulong)(bytes.Length - position))
                throw new QuantException(ErrorIds.FileTruncated, $"'{file.Path}' is cut off: a field of {count} bytes begins at byte {position} of {bytes.Length}, "
                    + "or it is no TensorProto.", file.Path);
            position += (int)count;
            return bytes.AsSpan(position - (int)count, (int)count);
        }

        private ulong Varint()
        {
            ulong value = 0;
            for (int shift = 0; shift < 70; shift += 7)
            {
                byte next = Take(1)[0];
                value |= (ulong)(next & 127) << shift;
                if (next < 128)
                    return value;
            }
            throw file.NotA(".pb", $"the number before byte {position} does not end; it is no TensorProto.");
        }
    }
}
