using QuantPS.Onnx.Runtime;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Operators.Integer;

/// <summary>8-bit weights as the engine's kernels take them: signed. uint8 weights move down by 128, and their zero points with them.</summary>
internal readonly struct EightBitWeight
{
    public EightBitWeight(IntegerTensor weight)
    {
        Shift = weight.Type == DataType.Uint8 ? -128 : 0;
        Signed = weight.As<sbyte>().ToArray();
        if (Shift == 0)
            return;
        foreach (ref sbyte v in Signed.AsSpan())
            v ^= -128;
    }

    public sbyte[] Signed { get; }

    /// <summary>To be added to zero points.</summary>
    public int Shift { get; }
}
