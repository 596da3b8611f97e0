using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model;

namespace QuantPS.Onnx.Operators;

/// <summary>To two dimensions: those before the axis, and the rest.</summary>
public sealed class Flatten : DataMovement
{
    public override string OpType => "Flatten";

    public override Int8Step? CreateStep(StepContext context)
    {
        int axis = (int)context.Context.Node.GetInt("axis", 1);
        return (inputs, spent) =>
        {
            QuantizedTensor x = inputs[0];
            // The axis may be the rank itself: everything before, nothing behind.
            int at = axis < 0 ? axis + x.Rank : axis;
            return x.Reshape(TensorShape.Count(x.Dims[..at]), TensorShape.Count(x.Dims[at..]));
        };
    }
}
