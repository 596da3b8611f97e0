using System.Runtime.InteropServices;
using Microsoft.ML.OnnxRuntime;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;
using Tensor = QuantPS.Engine.Tensors.Tensor;
using TensorElementType = Microsoft.ML.OnnxRuntime.Tensors.TensorElementType;

namespace QuantPS.Onnx.Runtime;

/// <summary>Integers as an ONNX graph types them: up to 32 bits, row-major, without scale and zero point, which are values of their own
/// there.</summary>
/// <remarks>4-bit elements take a byte each here; files and ONNX Runtime pack two into one, the first in the low bits.</remarks>
internal sealed class IntegerTensor
{
    /// <summary>Wraps little-endian bytes (not copied).</summary>
    /// <exception cref="QuantException">ShapeMismatch.</exception>
    public IntegerTensor(DataType type, int[] shape, Memory<byte> bytes)
    {
        Length = TensorShape.Count(shape);
        if (bytes.Length != (long)Length * SizeOf(type))
            throw new QuantException(ErrorIds.ShapeMismatch,
                $"{bytes.Length} bytes cannot fill the shape [{TensorShape.Format(shape)}] of {type}.");
        Type = type;
        Shape = shape;
        Memory = bytes;
    }

    public DataType Type { get; }

    public int[] Shape { get; }

    public int Length { get; }

    public Memory<byte> Memory { get; }

    public (int Min, int Max) Range => RangeOf(Type);

    public int this[int position]
    {
        get => Type switch
        {
            DataType.Uint8 or DataType.Uint4 => Memory.Span[position],
            DataType.Int8 or DataType.Int4 => (sbyte)Memory.Span[position],
            DataType.Uint16 => As<ushort>()[position],
            DataType.Int16 => As<short>()[position],
            _ => As<int>()[position],
        };
        set
        {
            switch (SizeOf(Type))
            {
                case 1:
                    Memory.Span[position] = unchecked((byte)value);
                    break;
                case 2:
                    As<short>()[position] = unchecked((short)value);
                    break;
                default:
                    As<int>()[position] = value;
                    break;
            }
        }
    }

    /// <summary>True for the element types that this class holds.</summary>
    public static bool Holds(DataType type) => type is DataType.Uint8 or DataType.Int8 or DataType.Uint16 or DataType.Int16 or DataType.Int32
        or DataType.Uint4 or DataType.Int4;

    public static (int Min, int Max) RangeOf(DataType type) => type switch
    {
        DataType.Uint8 => (0, 255),
        DataType.Int8 => (-128, 127),
        DataType.Uint16 => (0, ushort.MaxValue),
        DataType.Int16 => (short.MinValue, short.MaxValue),
        DataType.Uint4 => (0, 15),
        DataType.Int4 => (-8, 7),
        DataType.Int32 => (int.MinValue, int.MaxValue),
        _ => throw new QuantException(ErrorIds.UnsupportedDType, $"{type} is not an integer type of up to 32 bits."),
    };

    /// <summary>Zeros.</summary>
    public static IntegerTensor Allocate(DataType type, int[] shape) =>
        new(type, shape, new AlignedBuffer<byte>(checked(TensorShape.Count(shape) * SizeOf(type))).Memory);

    public static IntegerTensor FromProto(TensorProto tensor)
    {
        IntegerTensor t = Allocate(tensor.Type(), tensor.Shape());
        if (!t.IsFourBit)
        {
            tensor.ToBytes().CopyTo(t.Memory.Span);
            return t;
        }
        long[] values = tensor.ToLongs();
        for (int i = 0; i < values.Length; i++)
            t[i] = (int)values[i];
        return t;
    }

    public TensorProto ToProto(string name) => TensorProtos.Create(name, Type, ToStored().Span, Shape);

    /// <summary>The integers of an 8-bit tensor (not copied).</summary>
    public static IntegerTensor Of(QuantizedTensor tensor) =>
        new(tensor.DType == QDType.QInt8 ? DataType.Int8 : DataType.Uint8, tensor.Shape, tensor.Memory);

    /// <summary>A float32 tensor whose values are integers of the type; null when one of them is not.</summary>
    public static IntegerTensor? FromTensor(Tensor tensor, DataType type)
    {
        (int min, int max) = RangeOf(type);
        IntegerTensor t = Allocate(type, tensor.Shape);
        for (int i = 0; i < t.Length; i++)
        {
            double v = tensor.Span[i];
            if (!(v >= min && v <= max && v == Math.Floor(v)))
                return null;
            t[i] = (int)v;
        }
        return t;
    }

    /// <summary>A copy of ONNX Runtime's tensor, whose type is one that <see cref="Holds"/>.</summary>
    public static IntegerTensor FromOrt(OrtValue value)
    {
        DataType type = (DataType)(int)value.GetTensorTypeAndShape().ElementDataType;
        IntegerTensor t = Allocate(type, OnnxRuntimeSession.ShapeOf(value));
        t.Unpack(value.GetTensorMutableRawData());
        return t;
    }

    /// <summary>A copy in ONNX Runtime's own memory; the caller disposes it.</summary>
    public OrtValue ToOrt()
    {
        OrtValue value = OrtValue.CreateAllocatedTensorValue(OrtAllocator.DefaultInstance, (TensorElementType)(int)Type,
            Array.ConvertAll(Shape, d => (long)d));
        ToStored().Span.CopyTo(value.GetTensorMutableRawData());
        return value;
    }

    public Span<T> As<T>() where T : unmanaged => MemoryMarshal.Cast<byte, T>(Memory.Span);

    public int[] ToInts()
    {
        var values = new int[Length];
        for (int i = 0; i < values.Length; i++)
            values[i] = this[i];
        return values;
    }

    private static int SizeOf(DataType type) => type switch
    {
        DataType.Int32 => 4,
        DataType.Int16 or DataType.Uint16 => 2,
        _ => 1,
    };

    private bool IsFourBit => Type is DataType.Int4 or DataType.Uint4;

    /// <summary>The bytes as files, ONNX Runtime and <see cref="QuantizedTensor"/> have them: 4-bit elements packed.</summary>
    public Memory<byte> ToStored()
    {
        if (!IsFourBit)
            return Memory;
        var packed = new byte[(Length + 1) / 2];
        for (int i = 0; i < Length; i++)
            packed[i >> 1] |= (byte)((Memory.Span[i] & 15) << 4 * (i & 1));
        return packed;
    }

    private void Unpack(ReadOnlySpan<byte> stored)
    {
        if (!IsFourBit)
        {
            stored.CopyTo(Memory.Span);
            return;
        }
        for (int i = 0; i < Length; i++)
        {
            int nibble = stored[i >> 1] >> 4 * (i & 1) & 15;
            this[i] = Type == DataType.Int4 ? (nibble ^ 8) - 8 : nibble;
        }
    }
}
