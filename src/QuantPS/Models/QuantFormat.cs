namespace QuantPS.Models;

/// <summary>The form of a quantized ONNX file.</summary>
public enum QuantFormat
{
    /// <summary>Float operators between QuantizeLinear and DequantizeLinear.</summary>
    QDQ,

    /// <summary>Operators on integers: QLinearConv, QGemm, QLinearAdd, ...</summary>
    QOperator,
}
