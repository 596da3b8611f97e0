using System.Runtime.InteropServices;
using Google.Protobuf;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model.Proto;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Model;

/// <summary>Values out of and into TensorProto, whichever of its fields holds them.</summary>
/// <remarks>Source: onnx.proto, TensorProto: raw_data is little-endian; int32_data also holds the 8- and 16-bit types and float16's bits.</remarks>
public static class TensorProtos
{
    public static DataType Type(this TensorProto tensor) => (DataType)tensor.DataType;

    public static int[] Shape(this TensorProto tensor) => [.. tensor.Dims.Select(d => checked((int)d))];

    /// <summary>Number of elements; 1 for a scalar.</summary>
    public static int Count(this TensorProto tensor) => TensorShape.Count(tensor.Shape());

    /// <summary>Bytes of the values in raw form; null where the type does not say (strings, types that are not known here).</summary>
    /// <exception cref="QuantException">InvalidModel: a size that is negative or beyond all bounds.</exception>
    public static long? ByteCount(this TensorProto tensor)
    {
        int bits = tensor.Type() switch
        {
            DataType.Double or DataType.Int64 or DataType.Uint64 or DataType.Complex64 => 64,
            DataType.Complex128 => 128,
            DataType.Float or DataType.Int32 or DataType.Uint32 => 32,
            DataType.Float16 or DataType.Bfloat16 or DataType.Int16 or DataType.Uint16 => 16,
            DataType.Int8 or DataType.Uint8 or DataType.Bool or DataType.Float8E4M3Fn or DataType.Float8E4M3Fnuz or DataType.Float8E5M2
                or DataType.Float8E5M2Fnuz or DataType.Float8E8M0 => 8,
            DataType.Int4 or DataType.Uint4 or DataType.Float4E2M1 => 4,
            DataType.Int2 or DataType.Uint2 => 2,
            _ => 0,
        };
        if (bits == 0)
            return null;
        Int128 count = 1;
        foreach (long d in tensor.Dims)
        {
            count = d < 0 || count > long.MaxValue ? throw new QuantException(ErrorIds.InvalidModel,
                $"The tensor '{tensor.Name}' has the impossible shape [{string.Join(", ", tensor.Dims)}].", tensor.Name) : count * d;
        }
        return (long)Int128.Min((count * bits + 7) / 8, long.MaxValue);
    }

    /// <summary>The values as float32. Takes float, double, float16, bfloat16 and the integer types up to 32 bits.</summary>
    /// <exception cref="QuantException">UnsupportedDType, InvalidModel (wrong number of values, data outside the file).</exception>
    public static float[] ToFloats(this TensorProto tensor)
    {
        return tensor.Type() switch
        {
            DataType.Float => tensor.Values<float>(tensor.FloatData.ToArray),
            DataType.Double => Array.ConvertAll(tensor.Values<double>(tensor.DoubleData.ToArray), v => (float)v),
            DataType.Float16 => Array.ConvertAll(tensor.Values<ushort>(() => Narrow(v => (ushort)v)), v => (float)BitConverter.UInt16BitsToHalf(v)),
            DataType.Bfloat16 => Array.ConvertAll(tensor.Values<ushort>(() => Narrow(v => (ushort)v)),
                v => BitConverter.Int32BitsToSingle(v << 16)),
            _ => Array.ConvertAll(tensor.ToLongs(), v => (float)v),
        };

        ushort[] Narrow(Func<int, ushort> f) => [.. tensor.Int32Data.Select(f)];
    }

    /// <summary>The values of an integer or bool tensor.</summary>
    /// <exception cref="QuantException">UnsupportedDType, InvalidModel (wrong number of values, data outside the file).</exception>
    public static long[] ToLongs(this TensorProto tensor)
    {
        return tensor.Type() switch
        {
            DataType.Int64 => tensor.Values<long>(tensor.Int64Data.ToArray),
            DataType.Int32 => Array.ConvertAll(tensor.Values<int>(tensor.Int32Data.ToArray), v => (long)v),
            DataType.Int16 => Array.ConvertAll(tensor.Values<short>(() => Narrow(v => (short)v)), v => (long)v),
            DataType.Uint16 => Array.ConvertAll(tensor.Values<ushort>(() => Narrow(v => (ushort)v)), v => (long)v),
            DataType.Int8 => Array.ConvertAll(tensor.Values<sbyte>(() => Narrow(v => (sbyte)v)), v => (long)v),
            DataType.Uint8 or DataType.Bool => Array.ConvertAll(tensor.Values<byte>(() => Narrow(v => (byte)v)), v => (long)v),
            DataType.Int4 => Unpack(nibble => (nibble ^ 8) - 8),
            DataType.Uint4 => Unpack(nibble => nibble),
            DataType.Uint32 => Array.ConvertAll(tensor.Values<uint>(() => [.. tensor.Uint64Data.Select(v => (uint)v)]), v => (long)v),
            _ => throw new QuantException(ErrorIds.UnsupportedDType,
                $"The tensor '{tensor.Name}' has the element type {tensor.Type()}, which cannot be read as numbers here.", tensor.Name),
        };

        T[] Narrow<T>(Func<int, T> f) => [.. tensor.Int32Data.Select(f)];

        // Two elements a byte, the first one in the low bits; int32_data holds a byte an entry.
        long[] Unpack(Func<int, long> value)
        {
            int count = tensor.Count();
            byte[] bytes = tensor.Values<byte>(() => Narrow(v => (byte)v), (count + 1) / 2);
            return [.. Enumerable.Range(0, count).Select(i => value(bytes[i >> 1] >> 4 * (i & 1) & 15))];
        }
    }

    /// <summary>The values of an integer tensor of 8 to 32 bits as they are in memory, little-endian.</summary>
    /// <exception cref="QuantException">UnsupportedDType, InvalidModel (wrong number of values, data outside the file).</exception>
    public static ReadOnlySpan<byte> ToBytes(this TensorProto tensor)
    {
        return tensor.Type() switch
        {
            DataType.Int8 or DataType.Uint8 => tensor.Values<byte>(() => Narrow(v => unchecked((byte)v))),
            DataType.Int16 or DataType.Uint16 => Bytes(tensor.Values<ushort>(() => Narrow(v => unchecked((ushort)v)))),
            DataType.Int32 => Bytes(tensor.Values<int>(tensor.Int32Data.ToArray)),
            _ => throw new QuantException(ErrorIds.UnsupportedDType, $"The tensor '{tensor.Name}' has the element type {tensor.Type()}, not integers of 8 to 32 bits.", tensor.Name),
        };

        T[] Narrow<T>(Func<int, T> f) => [.. tensor.Int32Data.Select(f)];

        static ReadOnlySpan<byte> Bytes<T>(T[] values) where T : unmanaged => MemoryMarshal.AsBytes<T>(values);
    }

    /// <summary>A float32 tensor of the same shape.</summary>
    public static Tensor ToTensor(this TensorProto tensor) => new(tensor.Shape(), tensor.ToFloats()) { Name = tensor.Name };

    /// <summary>A float32 tensor of which there is only the shape.</summary>
    public static TensorProto Shaped(string name, int[] shape)
    {
        TensorProto tensor = new() { Name = name, DataType = (int)DataType.Float };
        tensor.Dims.AddRange(shape.Select(d => (long)d));
        return tensor;
    }

    /// <summary>The one value of a scalar or of a tensor with a single element.</summary>
    /// <exception cref="QuantException">InvalidModel: more or fewer elements than one.</exception>
    public static float ToScalar(this TensorProto tensor) => tensor.ToFloats() is [float v] ? v
        : throw new QuantException(ErrorIds.InvalidModel,
            $"The tensor '{tensor.Name}' should be a scalar but has the shape [{TensorShape.Format(tensor.Shape())}].", tensor.Name);

    public static TensorProto Create(string name, ReadOnlySpan<float> values, ReadOnlySpan<int> shape) =>
        Create(name, DataType.Float, MemoryMarshal.AsBytes(values), shape);

    public static TensorProto Create(string name, ReadOnlySpan<int> values, ReadOnlySpan<int> shape) =>
        Create(name, DataType.Int32, MemoryMarshal.AsBytes(values), shape);

    public static TensorProto Create(string name, ReadOnlySpan<long> values, ReadOnlySpan<int> shape) =>
        Create(name, DataType.Int64, MemoryMarshal.AsBytes(values), shape);

    public static TensorProto Create(string name, Tensor tensor) => Create(name, tensor.Span, tensor.Dims);

    /// <summary>From little-endian bytes.</summary>
    public static TensorProto Create(string name, DataType type, ReadOnlySpan<byte> raw, ReadOnlySpan<int> shape)
    {
        TensorProto t = new() { Name = name, DataType = (int)type, RawData = ByteString.CopyFrom(raw) };
        foreach (int d in shape)
            t.Dims.Add(d);
        return t;
    }

    /// <summary>A sparse tensor with its zeros written out; null for types of less than a byte, and what is stored outside.</summary>
    /// <remarks>Source: onnx.proto, SparseTensorProto: indices are [NNZ], counted through the whole tensor, or [NNZ, rank].</remarks>
    public static TensorProto? ToDense(this SparseTensorProto sparse, string name)
    {
        TensorProto dense = new() { Name = name, DataType = sparse.Values.DataType, Dims = { sparse.Dims } };
        long? bytes = dense.ByteCount();
        int count = sparse.Values.Count(), all = dense.Count();
        if (bytes is not long size || size > Array.MaxLength || count == 0 || all == 0 || size % all != 0 || sparse.Values.RawData.Length != count * (size / all))
            return null;
        int element = (int)(size / all), rank = sparse.Dims.Count;
        long[] indices = sparse.Indices.ToLongs();
        byte[] raw = new byte[size];
        for (int i = 0; i < count; i++)
        {
            long at = indices.Length == count ? indices[i] : 0;
            for (int d = 0; d < rank && indices.Length != count; d++)
                at = at * sparse.Dims[d] + indices[i * rank + d];
            if (at < 0 || at >= all)
                throw new QuantException(ErrorIds.InvalidModel, $"The sparse tensor '{name}' has a value at {at}, outside its shape.", name);
            sparse.Values.RawData.Span.Slice(i * element, element).CopyTo(raw.AsSpan((int)at * element));
        }
        dense.RawData = UnsafeByteOperations.UnsafeWrap(raw);
        return dense;
    }

    private static T[] Values<T>(this TensorProto tensor, Func<T[]> typedField, int? stored = null) where T : unmanaged
    {
        if (tensor.DataLocation == TensorProto.Types.DataLocation.External)
        {
            string file = tensor.ExternalData.FirstOrDefault(e => e.Key == "location")?.Value ?? "another file";
            throw new QuantException(ErrorIds.InvalidModel,
                $"The values of '{tensor.Name}' are stored outside the model, in '{file}'. Read the model by its path, so that they can be found.",
                tensor.Name);
        }
        int count = stored ?? tensor.Count();
        T[] values;
        if (tensor.HasRawData)
        {
            ReadOnlySpan<byte> raw = tensor.RawData.Span;
            int size = Marshal.SizeOf<T>();
            values = raw.Length == (long)count * size ? MemoryMarshal.Cast<byte, T>(raw).ToArray()
                : throw Wrong($"{raw.Length} bytes, not {(long)count * size},");
            if (!BitConverter.IsLittleEndian)
                throw new PlatformNotSupportedException("ONNX files are little-endian; this machine is not.");
            // The bytes may be a mapped file, which lives as long as the tensor does.
            GC.KeepAlive(tensor);
            return values;
        }
        values = typedField();
        return values.Length == count ? values : throw Wrong($"{values.Length} values, not {count},");

        QuantException Wrong(string got) =>
            new(ErrorIds.InvalidModel, $"The tensor '{tensor.Name}' holds {got} for its shape [{TensorShape.Format(tensor.Shape())}] of "
                + $"{tensor.Type()}.", tensor.Name);
    }
}
