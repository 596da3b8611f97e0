using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model;

namespace QuantPS.Onnx.Operators;

/// <summary>To two dimensions: those before the axis, and the rest.</summary>
public sealed class Flatten : ShapeChange
{
    public override string OpType => "Flatten";

    public override Func<int[], int[]>? Shape(NodeContext context)
    {
        int axis = (int)context.Node.GetInt("axis", 1);
        return x =>
        {
            // The axis may be the rank itself: everything before, nothing behind.
            int at = axis < 0 ? axis + x.Length : axis;
            return [TensorShape.Count(x.AsSpan(0, at)), TensorShape.Count(x.AsSpan(at))];
        };
    }
}
