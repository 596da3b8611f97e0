using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model;

namespace QuantPS.Onnx.Operators;

/// <summary>The same elements under another shape; 0 copies a size, -1 is computed.</summary>
public sealed class Reshape : ShapeChange
{
    public override string OpType => "Reshape";

    public override Func<int[], int[]>? Shape(NodeContext context)
    {
        if (context.ConstantInput(1) is null)
            return null;
        int[] target = Array.ConvertAll(context.ConstantInput(1)!.ToLongs(), d => checked((int)d));
        bool zeroCopies = context.Node.GetInt("allowzero", 0) == 0;
        return x =>
        {
            int[] shape = (int[])target.Clone();
            for (int d = 0; d < shape.Length; d++)
            {
                if (shape[d] == 0 && zeroCopies)
                    shape[d] = x[d];
            }
            int free = Array.IndexOf(shape, -1);
            if (free >= 0)
            {
                shape[free] = 1;
                int rest = TensorShape.Count(shape);
                shape[free] = rest == 0 ? 0 : TensorShape.Count(x) / rest;
            }
            return shape;
        };
    }
}
