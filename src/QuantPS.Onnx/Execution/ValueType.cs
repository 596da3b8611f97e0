using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;
using DataType = QuantPS.Onnx.Model.Proto.TensorProto.Types.DataType;

namespace QuantPS.Onnx.Execution;

/// <summary>Element type and shape of a graph value, as ONNX Runtime infers them.</summary>
/// <param name="Name">Name of the value.</param>
/// <param name="ElementType">Undefined when it is not a tensor.</param>
/// <param name="Dims">Sizes; -1 where they may vary. Empty also when the rank is unknown.</param>
/// <param name="Symbols">Names of the sizes that may vary; "" where there is none.</param>
public sealed record ValueType(string Name, DataType ElementType, int[] Dims, string[] Symbols)
{
    public int Rank => Dims.Length;

    /// <summary>"[N, 1, 28, 28]".</summary>
    public string ShapeText => "[" + string.Join(", ",
        Dims.Select((d, i) => d >= 0 ? d.ToString() : Symbols.ElementAtOrDefault(i) is { Length: > 0 } s ? s : "?")) + "]";

    /// <summary>True when a tensor of this shape may be given.</summary>
    public bool Accepts(ReadOnlySpan<int> shape)
    {
        if (Dims.Length == 0)
            return true;
        if (shape.Length != Dims.Length)
            return false;
        for (int d = 0; d < Dims.Length; d++)
        {
            if (Dims[d] >= 0 && Dims[d] != shape[d])
                return false;
        }
        return true;
    }

    /// <summary>A sample becomes a batch of one when the value has one dimension more; otherwise the tensor as it is.</summary>
    public Tensor WithBatchDimension(Tensor tensor) => Rank > 0 && tensor.Rank == Rank - 1 ? tensor.Reshape([1, .. tensor.Dims]) : tensor;

    public override string ToString() => $"'{Name}' {ShapeText}";
}
