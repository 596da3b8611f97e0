using QuantPS.Engine.Layers;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model;

namespace QuantPS.Onnx.Operators;

/// <summary>A part of every dimension, also with steps.</summary>
public sealed class Slice : DataMovement
{
    public override string OpType => "Slice";

    /// <summary>Starts, ends, axes and steps are inputs since operator set 10, before that attributes; only constant ones are taken.</summary>
    public override Int8Step? CreateStep(StepContext context)
    {
        if (Numbers(context, 1, "starts") is not { } starts || Numbers(context, 2, "ends") is not { } ends)
            return null;
        if (!Optional(context, 3, "axes", out long[]? axes) || !Optional(context, 4, "steps", out long[]? steps))
            return null;
        return (inputs, spent) =>
        {
            QuantizedTensor x = inputs[0];
            if (starts.Length == 1 && (steps?[0] ?? 1) == 1)
            {
                int only = TensorShape.NormalizeAxis((int)(axes?[0] ?? 0), x.Rank);
                (long first, long end) = Limits(starts[0], ends[0], 1, x.Dims[only]);
                return QuantizedRearrange.Cut(x, only, (int)first, (int)Math.Max(0, end - first));
            }
            var positions = new int[]?[x.Rank];
            for (int i = 0; i < starts.Length; i++)
            {
                int axis = TensorShape.NormalizeAxis((int)(axes?[i] ?? i), x.Rank);
                positions[axis] = Positions(starts[i], ends[i], steps?[i] ?? 1, x.Dims[axis]);
            }
            return QuantizedRearrange.Pick(x, positions);
        };
    }

    /// <summary>Source: onnx docs/Operators.md, Slice: negative numbers count from the end, what is beyond an end is cut to it.</summary>
    private static (long Start, long End) Limits(long start, long end, long step, int size)
    {
        start += start < 0 ? size : 0;
        end += end < 0 && end > long.MinValue / 2 ? size : 0;
        return step > 0 ? (Math.Clamp(start, 0, size), Math.Clamp(end, 0, size)) : (Math.Clamp(start, 0, size - 1), Math.Clamp(end, -1, size - 1));
    }

    private static int[] Positions(long start, long end, long step, int size)
    {
        (start, end) = Limits(start, end, step, size);
        List<int> positions = [];
        for (long i = start; step > 0 ? i < end : i > end; i += step)
            positions.Add((int)i);
        return [.. positions];
    }

    private static bool Optional(StepContext context, int index, string attribute, out long[]? numbers)
    {
        numbers = Numbers(context, index, attribute);
        return numbers is not null || GraphIndex.Input(context.Context.Node, index).Length == 0;
    }

    private static long[]? Numbers(StepContext context, int index, string attribute) => GraphIndex.Input(context.Context.Node, index).Length > 0
        ? context.Context.ConstantInput(index)?.ToLongs()
        : context.Context.Node.GetInts(attribute) is { } given ? Array.ConvertAll(given, v => (long)v) : null;
}
