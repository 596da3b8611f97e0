using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model;

namespace QuantPS.Onnx.Operators;

/// <summary>The same elements under another shape; 0 copies a size, -1 is computed.</summary>
public sealed class Reshape : DataMovement
{
    public override string OpType => "Reshape";

    public override Int8Step? CreateStep(StepContext context)
    {
        if (context.Context.ConstantInput(1) is null)
            return null;
        int[] target = Array.ConvertAll(context.Context.ConstantInput(1)!.ToLongs(), d => checked((int)d));
        bool zeroCopies = context.Context.Node.GetInt("allowzero", 0) == 0;
        return (inputs, spent) =>
        {
            QuantizedTensor x = inputs[0];
            int[] shape = (int[])target.Clone();
            for (int d = 0; d < shape.Length; d++)
            {
                if (shape[d] == 0 && zeroCopies)
                    shape[d] = x.Dims[d];
            }
            int free = Array.IndexOf(shape, -1);
            if (free >= 0)
            {
                shape[free] = 1;
                int rest = TensorShape.Count(shape);
                shape[free] = rest == 0 ? 0 : x.Length / rest;
            }
            return x.Reshape(shape);
        };
    }
}
