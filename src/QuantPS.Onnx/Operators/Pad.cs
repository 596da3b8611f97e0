using QuantPS.Engine.Layers;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Export;
using QuantPS.Onnx.Model;

namespace QuantPS.Onnx.Operators;

/// <summary>A margin of zeros, of another constant, or of the input's own values. Zero and the input's own values have integers under the
/// input's
/// parameters; with any other constant the result has parameters of its own.</summary>
public sealed class Pad : DataMovement
{
    public override string OpType => "Pad";

    /// <summary>A margin comes along.</summary>
    public override bool OnlyMoves => false;

    public override bool SharesInputQParams(NodeContext context) => Value(context) == 0f || Mode(context) != "constant";

    /// <summary>With constant margins that are not negative, of a value that the input's parameters have an integer for.</summary>
    public override Int8Step? CreateStep(StepContext context)
    {
        NodeContext node = context.Context;
        QParams p = context.Output;
        if (!context.Inputs[0].IsSameAs(p) || Margins.Of(node) is not { } margins)
            return null;
        if (Mode(node) is "reflect" or "edge")
            return (inputs, spent) => QuantizedRearrange.Pick(inputs[0], margins.Positions(inputs[0].Dims, Mode(node) == "reflect"));
        if (Mode(node) != "constant" || Value(node) is not float real)
            return null;
        (int low, int high) = p.DType.Range();
        int value = Quantizer.QuantizeOnnx(real, p.Scales[0], p.ZeroPoints[0], low, high);
        if (Quantizer.Dequantize(value, p.Scales[0], p.ZeroPoints[0]) != real)
            return null;
        return (inputs, spent) =>
        {
            (int[] before, int[] after) = margins.For(inputs[0].Rank);
            return QuantizedRearrange.Pad(inputs[0], before, after, value);
        };
    }

    /// <summary>On integers the margin is the zero point.</summary>
    public override bool WriteIntegers(IntegerWriter writer)
    {
        if (!SharesInputQParams(writer.Context))
            return false;
        if (Mode(writer.Context) != "constant")
            return writer.WriteSame();
        return writer.WriteSame((2, writer.Input(0)[2]));
    }

    private static string Mode(NodeContext context) => context.Node.GetString("mode", "constant");

    /// <summary>The constant; null when it is computed. An attribute until opset 10.</summary>
    private static float? Value(NodeContext context) => GraphIndex.Input(context.Node, 2).Length == 0 ? context.Node.GetFloat("value", 0f)
        : (context.ConstantInput(2)?.ToFloats() is [float v] ? v : null);

    /// <summary>How much is added in front of dimensions and behind them.</summary>
    /// <param name="pads">In front of each axis, then behind each.</param>
    /// <param name="axes">Which dimensions; null for all. Negative ones count from the end.</param>
    private sealed record Margins(int[] pads, int[]? axes)
    {
        /// <summary>Inputs since operator set 11, axes since 18; before that an attribute. Null where they are computed, or cut.</summary>
        public static Margins? Of(NodeContext context)
        {
            int[]? pads = GraphIndex.Input(context.Node, 1).Length == 0 ? context.Node.GetInts("pads") : Ints(1), axes = null;
            return pads is null || Array.Exists(pads, p => p < 0) || (GraphIndex.Input(context.Node, 3).Length > 0 && (axes = Ints(3)) is null) ? null : new Margins(pads, axes);

            int[]? Ints(int input) => context.ConstantInput(input) is { } constant ? Array.ConvertAll(constant.ToLongs(), v => checked((int)v)) : null;
        }

        public (int[] Before, int[] After) For(int rank)
        {
            int count = pads.Length / 2;
            int[] before = new int[rank], after = new int[rank];
            for (int i = 0; i < count; i++)
            {
                int d = axes is null ? i : TensorShape.NormalizeAxis(axes[i], rank);
                (before[d], after[d]) = (pads[i], pads[count + i]);
            }
            return (before, after);
        }

        /// <summary>Which position of the input each one of the result is: at the edge, or mirrored there as often as it takes.</summary>
        public int[]?[] Positions(ReadOnlySpan<int> shape, bool reflect)
        {
            (int[] before, int[] after) = For(shape.Length);
            var positions = new int[]?[shape.Length];
            for (int d = 0; d < positions.Length; d++)
            {
                int size = shape[d], front = before[d], period = Math.Max(1, 2 * (size - 1));
                if (front + after[d] > 0)
                    positions[d] = [.. Enumerable.Range(-front, front + size + after[d]).Select(i => reflect ? Mirrored(((i % period) + period) % period) : Math.Clamp(i, 0, size - 1))];

                int Mirrored(int i) => i < size ? i : period - i;
            }
            return positions;
        }
    }
}
