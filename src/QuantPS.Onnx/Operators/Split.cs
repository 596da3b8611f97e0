using QuantPS.Engine.Layers;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>Cut into pieces along a dimension; all of them have the input's scale and zero point.</summary>
public sealed class Split : DataMovement
{
    public override string OpType => "Split";

    public override IReadOnlyList<int> QuantizedOutputs(NodeProto node) => [.. Enumerable.Range(0, node.Output.Count).Where(i => node.Output[i].Length > 0)];

    /// <summary>One of the pieces as an operator of its own, for files that came quantized; null where the sizes are computed.</summary>
    internal static DataMovement? PartOf(NodeContext context, int output)
    {
        NodeProto node = context.Node;
        long[]? sizes = GraphIndex.Input(node, 1).Length > 0 ? context.ConstantInput(1)?.ToLongs() : node.GetInts("split")?.Select(n => (long)n).ToArray();
        return sizes is null && GraphIndex.Input(node, 1).Length > 0 ? null : new Part(output, sizes);
    }

    /// <summary>Source: onnx docs/Operators.md, Split: without sizes equal pieces, the last one smaller.</summary>
    private sealed class Part(int output, long[]? sizes) : DataMovement
    {
        public override string OpType => "Split";

        public override Int8Step? CreateStep(StepContext context)
        {
            NodeProto node = context.Context.Node;
            int pieces = node.Output.Count;
            return (inputs, spent) =>
            {
                QuantizedTensor x = inputs[0];
                int axis = TensorShape.NormalizeAxis((int)node.GetInt("axis", 0), x.Rank), size = x.Dims[axis], each = (size + pieces - 1) / pieces;
                int start = sizes is null ? output * each : (int)sizes[..output].Sum();
                return QuantizedRearrange.Cut(x, axis, start, sizes is null ? Math.Min(each, size - start) : (int)sizes[output]);
            };
        }
    }
}
