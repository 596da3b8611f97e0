using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Passes;

/// <summary>Folds BatchNormalization into the Conv, ConvTranspose, Gemm or MatMul before it.</summary>
/// <remarks>float32 in PyTorch's order: r = 1/sqrt(var + eps); w' = w * (gamma * r), b' = ((b - mean) * r) * gamma + beta for convolutions and
/// (b - mean) * (gamma * r) + beta for matrices, b = 0 without a bias. Source: torch/nn/utils/fusion.py fuse_conv_bn_weights,
/// fuse_linear_bn_weights. Not folded: a layer whose result is used elsewhere or is an output, weights that are computed, training mode.</remarks>
public sealed class FoldBatchNormalization : NodePass
{
    private const float DefaultEpsilon = 1e-5f;

    public override string Name => "FoldBatchNormalization";

    protected override bool Rewrite(PassContext context, NodeProto node)
    {
        if (!node.Is("BatchNormalization") || Parameters(context, node) is not float[][] p
            || context.Graph.Producer(node.Input[0]) is not NodeProto producer || context.Graph.OnlyConsumer(producer.Output[0]) != node
            || LayerWeights.Open(context, producer) is not { TakesBias: true } layer || p[0].Length != layer.Outputs)
            return false;
        float epsilon = node.GetFloat("epsilon", DefaultEpsilon);
        (float[] factor, layer.Bias) = Fold(layer.Bias, p[0], p[1], p[2], p[3], epsilon, layer.IsConvolution);
        for (int i = 0; i < layer.Weight.Length; i++)
            layer.Weight.Span[i] *= factor[layer.OutputOf(i)];
        producer.Output[0] = node.Output[0];
        context.Remove([node]);
        layer.Save("folded");
        return true;
    }

    /// <summary>gamma, beta, mean, variance, a value per channel each; null unless the node is in inference mode and they are constants.</summary>
    internal static float[][]? Parameters(PassContext context, NodeProto node)
    {
        // Until opset 8 each pixel could have its own.
        if (node.GetInt("training_mode", 0) != 0 || node.GetInt("spatial", 1) == 0 || node.Output.Skip(1).Any(o => o.Length > 0))
            return null;
        TensorProto?[] tensors = [.. Enumerable.Range(1, 4).Select(i => context.Graph.ConstantInput(node, i))];
        if (tensors.Any(t => t?.Type() != TensorProto.Types.DataType.Float || t.Dims.Count != 1))
            return null;
        float[][] values = [.. tensors.Select(t => t!.ToFloats())];
        return values.All(v => v.Length == values[0].Length) ? values : null;
    }

    /// <summary>The arithmetic of a whole convolution.</summary>
    /// <param name="weight">[O, ...]</param>
    /// <param name="bias">[O] or null.</param>
    /// <param name="gamma">[O]</param>
    /// <param name="beta">[O]</param>
    /// <param name="mean">[O]</param>
    /// <param name="variance">[O]</param>
    /// <param name="epsilon">Added to the variance.</param>
    /// <param name="convolution">PyTorch multiplies in another order for matrices.</param>
    internal static (Tensor Weight, float[] Bias) Fold(Tensor weight, float[]? bias, float[] gamma, float[] beta, float[] mean,
        float[] variance, float epsilon, bool convolution = true)
    {
        (float[] factor, float[] b) = Fold(bias, gamma, beta, mean, variance, epsilon, convolution);
        Tensor w = new(weight.Shape) { Name = weight.Name };
        int inner = weight.Length / gamma.Length;
        for (int i = 0; i < weight.Length; i++)
            w.Span[i] = weight.Span[i] * factor[i / inner];
        return (w, b);
    }

    /// <summary>The factor for the weights and the new bias, per output channel.</summary>
    private static (float[] Factor, float[] Bias) Fold(float[]? bias, float[] gamma, float[] beta, float[] mean, float[] variance, float epsilon,
        bool convolution)
    {
        float[] factor = new float[gamma.Length], b = new float[gamma.Length];
        for (int o = 0; o < b.Length; o++)
        {
            float r = 1f / MathF.Sqrt(variance[o] + epsilon), centered = (bias?[o] ?? 0f) - mean[o];
            factor[o] = gamma[o] * r;
            b[o] = (convolution ? centered * r * gamma[o] : centered * factor[o]) + beta[o];
        }
        return (factor, b);
    }
}
