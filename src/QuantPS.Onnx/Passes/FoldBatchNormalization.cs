using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Passes;

/// <summary>Folds BatchNormalization into the Conv before it.</summary>
/// <remarks>float32 in PyTorch's order: r = 1/sqrt(var + eps); w' = w * (gamma * r); b' = ((b - mean) * r) * gamma + beta, b = 0 without a bias.
/// Source: torch/nn/utils/fusion.py fuse_conv_bn_weights. Not folded: a Conv whose result is used elsewhere or is an output, weights that are computed,
/// training mode.</remarks>
public sealed class FoldBatchNormalization : GraphPass
{
    private const float DefaultEpsilon = 1e-5f;

    public override string Name => "FoldBatchNormalization";

    public override int Apply(OnnxModel model)
    {
        int folded = 0;
        foreach (NodeProto bn in model.Graph.Nodes)
        {
            GraphIndex graph = model.Graph;
            if (!bn.Is("BatchNormalization") || bn.GetInt("training_mode", 0) != 0 || bn.Output.Skip(1).Any(o => o.Length > 0))
                continue;
            if (graph.Producer(bn.Input[0]) is not NodeProto conv || !conv.Is("Conv") || graph.OnlyConsumer(conv.Output[0]) != bn)
                continue;
            string biasName = GraphIndex.Input(conv, 2);
            TensorProto? weight = graph.ConstantInput(conv, 1), bias = graph.Constant(biasName);
            TensorProto?[] parameters = [.. Enumerable.Range(1, 4).Select(i => graph.ConstantInput(bn, i))];
            if (weight?.Type() != TensorProto.Types.DataType.Float || (bias is null && biasName.Length > 0)
                || parameters.Any(p => p?.Type() != TensorProto.Types.DataType.Float))
                continue;
            float[][] p = [.. parameters.Select(t => t!.ToFloats())];
            Tensor w = weight.ToTensor();
            if (p.Any(v => v.Length != w.Dims[0]))
                continue;
            (Tensor newWeight, float[] newBias) = Fold(w, bias?.ToFloats(), p[0], p[1], p[2], p[3], bn.GetFloat("epsilon", DefaultEpsilon));

            string[] old = [conv.Input[1], .. conv.Input.Skip(2), .. bn.Input.Skip(1)];
            string weightName = FreeName(model, conv.Input[1] + "_folded");
            model.Proto.Graph.Initializer.Add(TensorProtos.Create(weightName, newWeight));
            string newBiasName = FreeName(model, weightName + "_bias");
            model.Proto.Graph.Initializer.Add(TensorProtos.Create(newBiasName, newBias, [newBias.Length]));
            string data = conv.Input[0];
            conv.Input.Clear();
            conv.Input.AddRange([data, weightName, newBiasName]);
            conv.Output[0] = bn.Output[0];
            model.Proto.Graph.Node.Remove(bn);
            RemoveUnusedInitializers(model, old);
            folded++;
        }
        return folded;
    }

    /// <summary>The arithmetic.</summary>
    /// <param name="weight">[O, ...]</param>
    /// <param name="bias">[O] or null.</param>
    /// <param name="gamma">[O]</param>
    /// <param name="beta">[O]</param>
    /// <param name="mean">[O]</param>
    /// <param name="variance">[O]</param>
    /// <param name="epsilon">Added to the variance.</param>
    internal static (Tensor Weight, float[] Bias) Fold(Tensor weight, float[]? bias, float[] gamma, float[] beta, float[] mean,
        float[] variance, float epsilon)
    {
        Tensor w = new(weight.Shape) { Name = weight.Name };
        var b = new float[gamma.Length];
        int inner = weight.Length / gamma.Length;
        for (int o = 0; o < b.Length; o++)
        {
            float r = 1f / MathF.Sqrt(variance[o] + epsilon);
            float factor = gamma[o] * r;
            for (int i = o * inner; i < (o + 1) * inner; i++)
                w.Span[i] = weight.Span[i] * factor;
            b[o] = ((bias?[o] ?? 0f) - mean[o]) * r * gamma[o] + beta[o];
        }
        return (w, b);
    }
}
