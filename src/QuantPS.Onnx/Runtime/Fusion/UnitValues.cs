using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Operators;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Runtime.Fusion;

/// <summary>What a quantized file says of its values, in the engine's terms.</summary>
internal sealed class UnitValues(OnnxModel model, ValueTypes types, ConstantValues constants)
{
    private readonly Dictionary<string, TensorProto?> real = new(StringComparer.Ordinal);

    public GraphIndex Graph => model.Graph;

    public ValueTypes Types => types;

    public DataType TypeOf(string value) => model.Graph.Constant(value)?.Type() ?? types[value]?.ElementType ?? DataType.Undefined;

    /// <summary>The engine's name of an element type of 8 bits; null for any other.</summary>
    public static QDType? EightBit(DataType type) => type switch
    {
        DataType.Uint8 => QDType.QUInt8,
        DataType.Int8 => QDType.QInt8,
        _ => null,
    };

    /// <summary>Per-tensor parameters of 8-bit integers; null where they are computed, of another kind, or senseless.</summary>
    /// <param name="dtype">Type of the integers.</param>
    /// <param name="scale">Name of the scale.</param>
    /// <param name="zeroPoint">Name of the zero point; "" for 0.</param>
    public QParams? Parameters(QDType? dtype, string scale, string zeroPoint)
    {
        if (dtype is not QDType eight || Scales(scale) is not [float step] || Zeros(zeroPoint, 1) is not [int zero])
            return null;
        (int min, int max) = eight.Range();
        return step > 0 && float.IsFinite(step) && zero >= min && zero <= max ? new QParams(step, zero, eight) : null;
    }

    /// <summary>A constant of 8 bits as the engine's layers take weights: qint8, whatever the file has, with one scale or one along a dimension; null
    /// where it is no such constant.</summary>
    /// <param name="integers">Name of the integers.</param>
    /// <param name="scale">Name of the scales.</param>
    /// <param name="zeroPoint">Name of the zero points; "" for 0.</param>
    /// <param name="axis">The dimension of the scales, if there are several.</param>
    public QuantizedTensor? Weight(string integers, string scale, string zeroPoint, int axis)
    {
        if (EightBit(TypeOf(integers)) is not QDType dtype || !constants.Has(integers) || constants.Find(integers)?.Typed is not { } t
            || Scales(scale) is not { Length: > 0 } scales || Zeros(zeroPoint, scales.Length) is not { } zeros
            || scales.Any(s => !(s > 0) || !float.IsFinite(s)))
            return null;
        // What is 128 less, with a zero point that is 128 less, means the same.
        int shift = dtype == QDType.QUInt8 ? -128 : 0;
        zeros = [.. zeros.Select(z => z + shift)];
        if (scales.Length > 1 && (axis < 0 || axis >= t.Shape.Length || t.Shape[axis] != scales.Length))
            return null;
        QParams p = scales.Length == 1 ? new QParams(scales[0], zeros[0], QDType.QInt8)
            : new QParams(scales, zeros, QDType.QInt8, QScheme.PerChannelAffine, axis);
        byte[] bytes = t.Memory.ToArray();
        if (shift != 0)
        {
            foreach (ref byte b in bytes.AsSpan())
                b ^= 0x80;
        }
        return new QuantizedTensor(t.Shape, bytes, p);
    }

    /// <summary>int32 in steps of input scale x weight scale; null where the value is no such constant.</summary>
    public int[]? Integers32(string value) =>
        TypeOf(value) == DataType.Int32 && constants.Has(value) ? constants.Find(value)!.Typed!.ToInts() : null;

    /// <summary>The float constant that integer nodes make of a constant; null where the value is computed.</summary>
    public TensorProto? Real(string value)
    {
        if (!constants.Has(value))
            return null;
        if (!real.TryGetValue(value, out TensorProto? made))
            real[value] = made = constants.Proto(value);
        return made;
    }

    /// <summary>The same of an 8-bit weight without its values, which a layer takes as integers: type and shape.</summary>
    /// <param name="value">What DequantizeLinear makes.</param>
    /// <param name="integers">Of what.</param>
    /// <param name="scale">With what scales.</param>
    public TensorProto? RealShape(string value, string integers, string scale)
    {
        if (EightBit(TypeOf(integers)) is null || Scales(scale) is null || !constants.Has(value) || constants.Find(integers)?.Typed is not { } t)
            return Real(value);
        return TensorProtos.Shaped(value, t.Shape);
    }

    public float[]? Scales(string value) =>
        TypeOf(value) == DataType.Float && constants.Has(value) ? constants.Find(value)!.Real().ToArray() : null;

    private int[]? Zeros(string value, int count)
    {
        if (value.Length == 0)
            return new int[count];
        if (!constants.Has(value) || EightBit(TypeOf(value)) is null)
            return null;
        int[] zeros = constants.Find(value)!.Typed!.ToInts();
        return zeros.Length == count ? zeros : zeros is [int one] ? [.. Enumerable.Repeat(one, count)] : null;
    }
}
