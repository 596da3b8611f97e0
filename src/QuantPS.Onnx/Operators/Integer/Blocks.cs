using QuantPS.Engine.Errors;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model;

namespace QuantPS.Onnx.Operators.Integer;

/// <summary>Which scale goes with which elements in QuantizeLinear and DequantizeLinear: per tensor, per axis, or blocked.</summary>
/// <remarks>Source: onnx docs/Operators.md, QuantizeLinear (opset 23): a scalar or single scale is per tensor, a vector runs along the axis, a scale of
/// the input's rank has one entry per block_size elements along the axis. Before opset 13 there is no axis.</remarks>
internal sealed class Blocks(IntegerNode node)
{
    private readonly int axis = (int)node.Proto.GetInt("axis", 1);
    private readonly int size = (int)node.Proto.GetInt("block_size", 0);

    /// <summary>Consecutive elements that share a scale: where they start, how many, the scale's position.</summary>
    /// <exception cref="QuantException">ShapeMismatch: the scale does not fit the tensor.</exception>
    public IEnumerable<(int Start, int Length, int Scale)> Of(int[] shape, int[] scale)
    {
        if (size == 0 && scale is [] or [1])
            return [(0, TensorShape.Count(shape), 0)];
        (int outer, int length, int inner) = TensorShape.Split(shape, axis);
        if (size == 0)
        {
            return scale is [int channels] && channels == length ? PerAxis(outer, length, inner)
                : throw Wrong($"a scale [{TensorShape.Format(scale)}] along axis {axis}");
        }
        int[] blocked = (int[])shape.Clone();
        blocked[TensorShape.NormalizeAxis(axis, shape.Length)] = (length + size - 1) / size;
        return blocked.AsSpan().SequenceEqual(scale) ? PerBlock(outer, length, inner)
            : throw Wrong($"a scale [{TensorShape.Format(scale)}] for blocks of {size} along axis {axis}");

        QuantException Wrong(string what) =>
            new(ErrorIds.ShapeMismatch, $"{node.Label} has {what}, which does not fit the input [{TensorShape.Format(shape)}].", node.Label);
    }

    private static IEnumerable<(int Start, int Length, int Scale)> PerAxis(int outer, int length, int inner)
    {
        for (int o = 0; o < outer; o++)
        {
            for (int a = 0; a < length; a++)
                yield return ((o * length + a) * inner, inner, a);
        }
    }

    private IEnumerable<(int Start, int Length, int Scale)> PerBlock(int outer, int length, int inner)
    {
        int blocks = (length + size - 1) / size;
        for (int o = 0; o < outer; o++)
        {
            for (int a = 0; a < length; a++)
            {
                for (int i = 0; i < inner; i++)
                    yield return ((o * length + a) * inner + i, 1, (o * blocks + a / size) * inner + i);
            }
        }
    }
}
