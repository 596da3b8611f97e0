using Microsoft.ML.OnnxRuntime;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;
using QuantPS.Onnx.Operators.Integer;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;
using Tensor = QuantPS.Engine.Tensors.Tensor;

namespace QuantPS.Onnx.Runtime;

/// <summary>A model's outputs as the prompt has them.</summary>
/// <remarks>float32 is a Tensor. Integers of up to 32 bits are a QuantizedTensor, with the scale and zero point of the node that made them
/// (QuantizeLinear, QLinearConv, QLinearMatMul) where these are constants, else with scale 1 and zero point 0, so that the real values are the integers
/// themselves. float64 is a Tensor, rounded to the nearest as Import-Tensor does. Any other type is a Tensor if every value is a float32 value (bool as 0
/// and 1), and an error otherwise: integers that are rounded are other integers.</remarks>
internal static class OutputValues
{
    /// <exception cref="QuantException">UnsupportedDType: no float32 value stands for it.</exception>
    public static object ToObject(GraphValue value, OnnxModel model, string name, string? source)
    {
        if (value.IsReal)
            return new Tensor(value.Real().Shape, value.Real().Memory) { Name = name, Source = source };
        if (value.Typed is not { } t)
            return ToTensor(value.Native!, name, source);
        QDType dtype = DTypeOf(t.Type);
        QParams qparams = ParametersOf(model, name, t, dtype) ?? new QParams(1, 0, dtype);
        return new QuantizedTensor(t.Shape, t.ToStored(), qparams) { Name = name, Source = source };
    }

    /// <summary>The parameters that the node behind a value names, when they are constants; null otherwise.</summary>
    private static QParams? ParametersOf(OnnxModel model, string name, IntegerTensor integers, QDType dtype)
    {
        if (model.Graph.Producer(name) is not NodeProto node
            || IntegerOperatorRegistry.Find(node)?.OutputParameters is not var (scaleInput, zeroInput))
            return null;
        if (model.Graph.ConstantInput(node, scaleInput) is not TensorProto scale || scale.Type() != DataType.Float)
            return null;
        if (GraphIndex.Input(node, zeroInput).Length > 0 && model.Graph.ConstantInput(node, zeroInput) is null)
            return null;
        float[] scales = scale.ToFloats();
        int[] zeroPoints = model.Graph.ConstantInput(node, zeroInput) is TensorProto zero ? [.. zero.ToLongs().Select(z => (int)z)]
            : new int[scales.Length];
        if (scales.Length != zeroPoints.Length || !scales.All(s => s > 0 && float.IsFinite(s)))
            return null;
        if (scales.Length == 1)
            return new QParams(scales[0], zeroPoints[0], dtype);
        int axis = TensorShape.NormalizeAxis((int)node.GetInt("axis", 1), integers.Shape.Length);
        // A scale of more dimensions is blocked, which QuantizedTensor cannot say.
        return scale.Dims.Count == 1 && scales.Length == integers.Shape[axis]
            ? new QParams(scales, zeroPoints, dtype, QScheme.PerChannelAffine, axis) : null;
    }

    private static QDType DTypeOf(DataType type) => type switch
    {
        DataType.Uint8 => QDType.QUInt8,
        DataType.Int8 => QDType.QInt8,
        DataType.Uint16 => QDType.QUInt16,
        DataType.Int16 => QDType.QInt16,
        DataType.Uint4 => QDType.QUInt4,
        DataType.Int4 => QDType.QInt4,
        _ => QDType.QInt32,
    };

    private static Tensor ToTensor(OrtValue value, string name, string? source)
    {
        DataType type = value.IsTensor ? (DataType)(int)value.GetTensorTypeAndShape().ElementDataType : DataType.Undefined;
        double[] values = type switch
        {
            DataType.Bool => [.. value.GetTensorDataAsSpan<bool>().ToArray().Select(v => v ? 1.0 : 0)],
            DataType.Double => value.GetTensorDataAsSpan<double>().ToArray(),
            DataType.Float16 => [.. value.GetTensorDataAsSpan<Float16>().ToArray().Select(v => (double)(float)v)],
            DataType.Bfloat16 => [.. value.GetTensorDataAsSpan<BFloat16>().ToArray().Select(v => (double)(float)v)],
            DataType.Uint32 => [.. value.GetTensorDataAsSpan<uint>().ToArray().Select(v => (double)v)],
            // A long beyond 2^53 may round to a double that a float32 holds.
            DataType.Int64 => [.. value.GetTensorDataAsSpan<long>().ToArray().Select(v => Math.Abs((decimal)v) <= 1L << 53 ? v : double.Epsilon)],
            DataType.Uint64 => [.. value.GetTensorDataAsSpan<ulong>().ToArray().Select(v => v <= 1UL << 53 ? v : double.Epsilon)],
            _ => throw new QuantException(ErrorIds.UnsupportedDType,
                $"The output '{name}' is {(value.IsTensor ? type.ToString() : "not a tensor")}, "
                + "which has no form at the prompt. Take it out of the model's outputs, or behind a Cast to float.", name),
        };
        int bad = type == DataType.Double ? -1 : Array.FindIndex(values, v => (float)v != v && !double.IsNaN(v));
        if (bad >= 0)
        {
            throw new QuantException(ErrorIds.UnsupportedDType, $"The output '{name}' is {type} and holds values that float32 cannot hold exactly "
                + $"(the first at position {bad}). Put a Cast to float behind it if rounded values will do.", name);
        }
        return new Tensor(OnnxRuntimeSession.ShapeOf(value), Array.ConvertAll(values, v => (float)v)) { Name = name, Source = source };
    }
}
