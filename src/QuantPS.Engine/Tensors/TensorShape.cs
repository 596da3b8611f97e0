using QuantPS.Engine.Errors;

namespace QuantPS.Engine.Tensors;

/// <summary>Arithmetic on shapes: row-major (C order), last dimension contiguous.</summary>
public static class TensorShape
{
    /// <summary>Number of elements of a shape; 1 for a scalar (rank 0).</summary>
    /// <exception cref="QuantException">InvalidShape: a negative dimension, or more than 2^31-1 elements.</exception>
    public static int Count(ReadOnlySpan<int> shape)
    {
        long count = 1;
        foreach (int dim in shape)
        {
            if (dim < 0)
                throw new QuantException(ErrorIds.InvalidShape, $"The shape [{Format(shape)}] has a negative dimension. Every dimension must be 0 or more.");
            count *= dim;
            if (count > Array.MaxLength)
                throw new QuantException(ErrorIds.InvalidShape, $"The shape [{Format(shape)}] has more than {Array.MaxLength} elements. Split the tensor into smaller batches.");
        }
        return (int)count;
    }

    /// <summary>Index of an element in row-major order. Negative indices count from the end, as in NumPy.</summary>
    /// <exception cref="QuantException">InvalidShape: a wrong number of indices or an index outside its dimension.</exception>
    public static int Offset(ReadOnlySpan<int> shape, ReadOnlySpan<int> index)
    {
        if (index.Length != shape.Length)
            throw new QuantException(ErrorIds.InvalidShape, $"{index.Length} indices for a tensor of shape [{Format(shape)}]: give {shape.Length}.");
        int offset = 0;
        for (int d = 0; d < shape.Length; d++)
        {
            int i = index[d] < 0 ? index[d] + shape[d] : index[d];
            if ((uint)i >= (uint)shape[d])
                throw new QuantException(ErrorIds.InvalidShape, $"Index {index[d]} is outside dimension {d} of shape [{Format(shape)}].");
            offset = offset * shape[d] + i;
        }
        return offset;
    }

    /// <summary>The index of the element at a row-major position; the inverse of <see cref="Offset"/>.</summary>
    public static int[] Index(ReadOnlySpan<int> shape, int offset)
    {
        var index = new int[shape.Length];
        for (int d = shape.Length - 1; d >= 0; d--)
            (offset, index[d]) = Math.DivRem(offset, shape[d]);
        return index;
    }

    /// <summary>Splits a shape around an axis: how many blocks lie before it, its length, how many elements lie behind it.</summary>
    /// <remarks>Element (o, a, i) of a row-major tensor is at (o * Length + a) * Inner + i.</remarks>
    public static (int Outer, int Length, int Inner) Split(ReadOnlySpan<int> shape, int axis)
    {
        int a = NormalizeAxis(axis, shape.Length);
        int outer = 1, inner = 1;
        for (int d = 0; d < a; d++)
            outer *= shape[d];
        for (int d = a + 1; d < shape.Length; d++)
            inner *= shape[d];
        return (outer, shape[a], inner);
    }

    /// <summary>An axis counted from the front; negative ones count from the back.</summary>
    public static int NormalizeAxis(int axis, int rank)
    {
        int a = axis < 0 ? axis + rank : axis;
        if ((uint)a >= (uint)rank)
            throw new QuantException(ErrorIds.InvalidShape, $"Axis {axis} does not exist in a tensor with {rank} dimensions.");
        return a;
    }

    /// <summary>"2, 5, 7, 7".</summary>
    public static string Format(ReadOnlySpan<int> shape) => string.Join(", ", shape.ToArray());
}
