using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Runtime;

/// <summary>Tensors of the prompt, which are float32, as values of a graph's element types.</summary>
internal static class InputValues
{
    /// <exception cref="QuantException">UnsupportedDType: the input is of integers and the tensor holds something else.</exception>
    public static GraphValue Create(Tensor tensor, Execution.ValueType type)
    {
        if (type.ElementType == DataType.Float)
            return new GraphValue(tensor);
        return IntegerTensor.FromTensor(tensor, type.ElementType) is { } integers ? new GraphValue(integers)
            : throw new QuantException(ErrorIds.UnsupportedDType,
                $"The input '{type.Name}' takes integers of type {type.ElementType}, {Range(type)}, "
                + $"but {tensor} holds other numbers. Quantize them first: the integers are the values to give.", tensor);
    }

    private static string Range(Execution.ValueType type)
    {
        (int min, int max) = IntegerTensor.RangeOf(type.ElementType);
        return $"{min} to {max}";
    }
}
