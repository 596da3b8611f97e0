using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Passes;

/// <summary>Folds a factor and a summand per input channel (BatchNormalization, Mul, Div, Add, Sub with a constant) into the layer behind it.</summary>
/// <remarks>For y = x * a + c: w' = w * a, b' = b + sum of w * c over the inputs. A summand only where nothing is padded: the padding is 0 before and
/// behind it. Padding is no obstacle to a factor.</remarks>
public sealed class FoldIntoNextLayer : NodePass
{
    private const float DefaultEpsilon = 1e-5f;

    public override string Name => "FoldIntoNextLayer";

    protected override bool Rewrite(PassContext context, NodeProto node)
    {
        GraphIndex graph = context.Graph;
        if (node.Output.Count == 0 || graph.OnlyConsumer(node.Output[0]) is not NodeProto next || GraphIndex.Input(next, 0) != node.Output[0]
            || next.Is("ConvTranspose") || LayerWeights.Open(context, next) is not LayerWeights layer || IsTransposed(next))
            return false;
        if (Affine(context, node, layer) is not var (x, factor, summand))
            return false;
        if (summand is not null && (!layer.TakesBias || IsPadded(next)))
            return false;
        // In double: sums over many inputs would lose what the layer itself keeps.
        var sums = new double[layer.Outputs];
        for (int i = 0; i < layer.Weight.Length; i++)
        {
            ref float w = ref layer.Weight.Span[i];
            int input = layer.InputOf(i);
            sums[layer.OutputOf(i)] += w * (double)(summand?[input] ?? 0);
            w *= factor?[input] ?? 1;
        }
        if (summand is not null)
            layer.Bias = [.. sums.Select((s, o) => (float)((layer.Bias?[o] ?? 0) + s))];
        next.Input[0] = x;
        context.Remove([node]);
        layer.Save("scaled");
        return true;
    }

    /// <summary>What a node does to each channel: x * factor + summand; null when it does anything else.</summary>
    private static (string X, float[]? Factor, float[]? Summand)? Affine(PassContext context, NodeProto node, LayerWeights layer)
    {
        if (node.Is("BatchNormalization"))
        {
            if (FoldBatchNormalization.Parameters(context, node) is not float[][] p || p[0].Length != layer.Inputs
                || (!layer.IsConvolution && layer.Rank != 2))
                return null;
            float epsilon = node.GetFloat("epsilon", DefaultEpsilon);
            float[] factor = [.. p[0].Select((gamma, c) => gamma / MathF.Sqrt(p[3][c] + epsilon))];
            return (node.Input[0], factor, [.. p[1].Select((beta, c) => beta - p[2][c] * factor[c])]);
        }
        for (int i = 0; i < (node.Is("Add") || node.Is("Mul") ? 2 : node.Is("Sub") || node.Is("Div") ? 1 : 0); i++)
        {
            if (context.Graph.Constant(node.Input[i]) is not null || context.RankOf(node.Input[i]) != layer.Rank
                || layer.PerChannel(node.Input[1 - i], layer.Inputs) is not float[] constant)
                continue;
            // A constant per channel may also make many channels of one.
            int channelAxis = layer.IsConvolution ? 1 : layer.Rank!.Value - 1;
            if (context.Graph.Constant(node.Input[1 - i])!.Count() > 1 && context.TypeOf(node.Input[i])?.Dims[channelAxis] != layer.Inputs)
                continue;
            return node.OpType switch
            {
                "Add" => (node.Input[i], null, constant),
                "Sub" => (node.Input[i], null, Array.ConvertAll(constant, c => -c)),
                "Mul" => (node.Input[i], constant, null),
                _ => constant.Contains(0) ? null : (node.Input[i], Array.ConvertAll(constant, c => 1 / c), null),
            };
        }
        return null;
    }

    private static bool IsTransposed(NodeProto node) => node.Is("Gemm") && node.GetInt("transA", 0) != 0;

    private static bool IsPadded(NodeProto node) =>
        node.GetString("auto_pad", "NOTSET") is "SAME_UPPER" or "SAME_LOWER" || (node.GetInts("pads") ?? []).Any(p => p != 0);
}
