using QuantPS.Engine.Errors;
using QuantPS.Engine.Layers;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>The last dimensions to mean 0 and deviation 1, then times a factor, plus an offset.</summary>
public sealed class LayerNormalization : Normalization
{
    public override string OpType => "LayerNormalization";

    public override Int8Step? CreateStep(StepContext context)
    {
        NodeProto node = context.Context.Node;
        if (context.Context.ConstantInput(1)?.ToFloats() is not { Length: > 0 } gain)
            return null;
        float[]? bias = context.Context.ConstantInput(2)?.ToFloats();
        if (bias is not null && bias.Length != gain.Length)
            return null;
        QuantizedLayerNorm norm = new(context.Inputs[0], context.Output, gain, bias, node.GetFloat("epsilon", 1e-5f));
        int axis = (int)node.GetInt("axis", -1);
        return (inputs, spent) =>
        {
            QuantizedTensor x = inputs[0];
            if (TensorShape.Count(x.Dims[TensorShape.NormalizeAxis(axis, x.Rank)..]) != gain.Length)
            {
                throw new QuantException(ErrorIds.ShapeMismatch,
                    $"{context.Context.Name} normalizes [{TensorShape.Format(x.Dims)}] from dimension {axis} on, but has {gain.Length} factors.", x);
            }
            return norm.Run(x, inPlace: (spent & 1) != 0);
        };
    }
}
