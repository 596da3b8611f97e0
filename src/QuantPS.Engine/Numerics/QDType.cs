using QuantPS.Engine.Errors;

namespace QuantPS.Engine.Numerics;

/// <summary>Storage types of quantized integers. PyTorch's names: quint8, qint8, qint32.</summary>
public enum QDType
{
    QUInt8,
    QInt8,
    QInt32,
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
        _ => throw new QuantException(ErrorIds.UnsupportedDType, $"The dtype {dtype} has no range."),
    };

    /// <summary>Bytes that one element takes.</summary>
    public static int SizeBytes(this QDType dtype) => dtype == QDType.QInt32 ? 4 : 1;

    /// <summary>PyTorch's spelling: quint8, qint8, qint32.</summary>
    public static string TorchName(this QDType dtype) => dtype.ToString().ToLowerInvariant();
}
