using Microsoft.ML.OnnxRuntime;
using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;
using Tensor = QuantPS.Engine.Tensors.Tensor;

namespace QuantPS.Onnx.Runtime;

/// <summary>Tensors of the prompt, which are float32, as values of a graph's element types: nothing is rounded but for float16, to the nearest, ties to even, as images have to be.</summary>
internal static class InputValues
{
    /// <summary>2^63: the first float beyond int64.</summary>
    private const float BeyondLong = 9223372036854775808f;

    /// <summary>2^64: the first float beyond uint64.</summary>
    private const float BeyondULong = 18446744073709551616f;

    /// <summary>True for the element types that a tensor can be given for.</summary>
    public static bool Takes(DataType type) => IntegerTensor.Holds(type) || type is DataType.Float or DataType.Double or DataType.Float16 or DataType.Bfloat16
        or DataType.Int64 or DataType.Uint64 or DataType.Uint32 or DataType.Bool;

    /// <exception cref="QuantException">UnsupportedDType: a value of the tensor is none of the input's type.</exception>
    public static GraphValue Create(Tensor tensor, Execution.ValueType type)
    {
        if (type.ElementType == DataType.Float)
            return new GraphValue(tensor);
        if (IntegerTensor.Holds(type.ElementType))
            return IntegerTensor.FromTensor(tensor, type.ElementType) is { } integers ? new GraphValue(integers) : throw Refused(tensor, type);
        return GraphValue.TakeOrt(type.ElementType switch
        {
            DataType.Double => Convert(tensor, type, v => (double)v, v => (float)v),
            DataType.Float16 => Convert(tensor, type, v => (Float16)v, v => (float)v, rounds: true),
            DataType.Bfloat16 => Convert(tensor, type, v => (BFloat16)v, v => (float)v),
            DataType.Int64 => Convert(tensor, type, v => v is >= -BeyondLong and < BeyondLong ? (long)v : 0, v => v),
            DataType.Uint64 => Convert(tensor, type, v => v is >= 0 and < BeyondULong ? (ulong)v : 0, v => v),
            DataType.Uint32 => Convert(tensor, type, v => v is >= 0 and <= uint.MaxValue ? (uint)(double)v : 0, v => v),
            _ => Convert(tensor, type, v => v == 1, v => v ? 1f : 0),
        }, type.Name);
    }

    private static OrtValue Convert<T>(Tensor tensor, Execution.ValueType type, Func<float, T> to, Func<T, float> back, bool rounds = false) where T : unmanaged
    {
        var values = new T[tensor.Length];
        ReadOnlySpan<float> from = tensor.Span;
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = to(from[i]);
            float same = back(values[i]);
            // Rounded, a number must not become infinite.
            bool fits = rounds ? float.IsFinite(same) || !float.IsFinite(from[i]) : same == from[i] || (float.IsNaN(same) && float.IsNaN(from[i]));
            if (!fits)
                throw Refused(tensor, type, i);
        }
        return OrtValue.CreateTensorValueFromMemory(values, Array.ConvertAll(tensor.Shape, d => (long)d));
    }

    private static QuantException Refused(Tensor tensor, Execution.ValueType type)
    {
        (int min, int max) = IntegerTensor.RangeOf(type.ElementType);
        float[] values = tensor.ToArray();
        return Refused(tensor, type, Array.FindIndex(values, v => !(v >= min && (double)v <= max && v == MathF.Floor(v))));
    }

    private static QuantException Refused(Tensor tensor, Execution.ValueType type, int position)
    {
        string what = type.ElementType switch
        {
            DataType.Bool => "booleans, 0 and 1",
            DataType.Float16 => "numbers of type Float16, up to 65504",
            DataType.Bfloat16 => "numbers of type Bfloat16, and nothing is rounded on the way; round them before",
            DataType.Int64 => "integers of type Int64",
            DataType.Uint64 => "integers of type Uint64, 0 and above",
            DataType.Uint32 => $"integers of type Uint32, 0 to {uint.MaxValue}",
            _ => IntegerTensor.RangeOf(type.ElementType) is var (min, max) ? $"integers of type {type.ElementType}, {min} to {max}" : "",
        };
        return new QuantException(ErrorIds.UnsupportedDType,
            $"The input '{type.Name}' takes {what}, but {tensor} holds {tensor.Span[position]:R} at "
            + $"[{TensorShape.Format(TensorShape.Index(tensor.Dims, position))}]."
            + (IntegerTensor.Holds(type.ElementType) ? " If it is to be quantized: the integers are the values to give." : ""), tensor);
    }
}
