using QuantPS.Onnx.Model;

namespace QuantPS.Onnx.Operators;

/// <summary>The same elements in the same order under another shape.</summary>
public abstract class ShapeChange : DataMovement
{
    /// <summary>What the result's shape is for an input's; null where that is computed as the model runs.</summary>
    /// <param name="context">The node.</param>
    public abstract Func<int[], int[]>? Shape(NodeContext context);

    public sealed override Int8Step? CreateStep(StepContext context)
    {
        if (Shape(context.Context) is not { } shape)
            return null;
        ShapeMemo memo = new(shape);
        return (inputs, spent) => inputs[0].Reshape(memo.Of(inputs[0].Dims));
    }
}
