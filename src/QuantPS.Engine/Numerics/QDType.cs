using QuantPS.Engine.Errors;

namespace QuantPS.Engine.Numerics;

/// <summary>Storage types of quantized integers. The three of PyTorch's quantized tensors, and those that its observers and ONNX know besides.</summary>
/// <remarks>Layers compute with quint8 and qint8 only; the others are for storage, inspection and files.</remarks>
public enum QDType
{
    QUInt8,
    QInt8,
    QInt32,

    /// <summary>PyTorch's int16 (observers of 2.x), ONNX's INT16.</summary>
    QInt16,

    /// <summary>PyTorch's uint16 (observers of 2.x), ONNX's UINT16.</summary>
    QUInt16,

    /// <summary>ONNX's INT4: two elements a byte.</summary>
    QInt4,

    /// <summary>PyTorch's quint4x2, named after its storage: two elements a byte, the first one in the low bits. ONNX's UINT4.</summary>
    QUInt4,
}

/// <summary>Facts about a quantized storage type.</summary>
public static class QDTypeInfo
{
    /// <summary>Smallest and largest integer that the type stores.</summary>
    public static (int Min, int Max) Range(this QDType dtype) => dtype switch
    {
        QDType.QUInt8 => (0, 255),
        QDType.QInt8 => (-128, 127),
        QDType.QInt32 => (int.MinValue, int.MaxValue),
        QDType.QInt16 => (short.MinValue, short.MaxValue),
        QDType.QUInt16 => (0, ushort.MaxValue),
        QDType.QInt4 => (-8, 7),
        QDType.QUInt4 => (0, 15),
        _ => throw new QuantException(ErrorIds.UnsupportedDType, $"The dtype {dtype} has no range."),
    };

    /// <summary>Bits that one element takes.</summary>
    public static int Bits(this QDType dtype) => dtype switch
    {
        QDType.QInt32 => 32,
        QDType.QInt16 or QDType.QUInt16 => 16,
        QDType.QInt4 or QDType.QUInt4 => 4,
        _ => 8,
    };

    /// <summary>Bytes that so many elements take. An odd number of 4-bit elements leaves the high half of the last byte unused.</summary>
    public static long ByteCount(this QDType dtype, int count) => ((long)count * dtype.Bits() + 7) / 8;

    /// <summary>True for quint8 and qint8, the types that layers compute with.</summary>
    public static bool IsEightBit(this QDType dtype) => dtype.Bits() == 8;

    /// <summary>PyTorch's spelling: quint8, qint8, qint32, int16, uint16, int4, quint4x2.</summary>
    public static string TorchName(this QDType dtype) => dtype switch
    {
        QDType.QInt16 or QDType.QUInt16 or QDType.QInt4 => dtype.ToString()[1..].ToLowerInvariant(),
        QDType.QUInt4 => "quint4x2",
        _ => dtype.ToString().ToLowerInvariant(),
    };
}
