using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>A border filled with the image mirrored at its edge, the edge itself not repeated.</summary>
/// <remarks>Source: torch/ao/nn/quantized/modules/conv.py forward of Conv1d and Conv2d: F.pad(input, mode='reflect'), then a convolution without padding.</remarks>
internal static class ReflectionPadding
{
    /// <summary>Where the value at a position outside [0, size) comes from.</summary>
    public static int Source(int position, int size)
    {
        int p = Math.Abs(position);
        return p < size ? p : 2 * (size - 1) - p;
    }

    /// <param name="x">[N, C, spatial...].</param>
    /// <param name="before">Added before the first, per spatial dimension.</param>
    /// <param name="after">Added behind the last.</param>
    /// <exception cref="QuantException">ShapeMismatch: a border as wide as the image.</exception>
    public static QuantizedTensor Apply(QuantizedTensor x, int[] before, int[] after)
    {
        int[] shape = x.Shape;
        for (int d = 0; d < before.Length; d++)
        {
            if (Math.Max(before[d], after[d]) >= x.Dims[d + 2])
                throw new QuantException(ErrorIds.ShapeMismatch, $"Reflection padding [{TensorShape.Format(before)}] must be narrower than the input [{TensorShape.Format(x.Dims[2..])}].", x);
            shape[d + 2] += before[d] + after[d];
        }
        QuantizedTensor y = OperatorChecks.NewTensor(shape, x.QParams, x);
        bool flat = before.Length == 1;
        int rows = flat ? 1 : shape[2], inRows = flat ? 1 : x.Dims[2], columns = shape[^1], inColumns = x.Dims[^1], top = flat ? 0 : before[0], left = before[^1];
        ReadOnlySpan<byte> from = x.Bytes;
        Span<byte> to = y.Bytes;
        for (int at = 0; at < to.Length; at++)
        {
            (int row, int column) = Math.DivRem(at, columns);
            (int plane, row) = Math.DivRem(row, rows);
            to[at] = from[(plane * inRows + Source(row - top, inRows)) * inColumns + Source(column - left, inColumns)];
        }
        return y;
    }
}
