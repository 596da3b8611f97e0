using QuantPS.Engine.Layers;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>Largest value of a window, which is the largest integer of it. 1 or 2 spatial dimensions.</summary>
public sealed class MaxPool : DataMovement
{
    public override string OpType => "MaxPool";

    /// <summary>Elements are compared.</summary>
    public override bool OnlyMoves => false;

    public override string? WhyFloat(NodeContext context)
    {
        if (context.Node.Output.Count > 1 && context.Node.Output[1].Length > 0)
            return "it also gives the indices";
        if (context.Node.GetInts("kernel_shape") is not { Length: 1 or 2 } kernel)
            return "only 1 or 2 spatial dimensions have an int8 form";
        Window.Of(context.Node, kernel, context.Types[context.Node.Input[0]], out string? problem);
        return problem;
    }

    public override Int8Step? CreateStep(StepContext context)
    {
        NodeProto node = context.Context.Node;
        Window w = Window.Of(node, node.GetInts("kernel_shape")!, context.Context.Types[node.Input[0]], out _)!;
        QuantizedMaxPool pool = new(new PoolGeometry(w.Kernel, w.Stride, w.PadBegin, w.Dilation, node.GetInt("ceil_mode", 0) != 0, w.PadEnd));
        return (inputs, spent) => pool.Run(inputs[0]);
    }
}
