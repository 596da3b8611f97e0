using QuantPS.Engine.Kernels;
using QuantPS.Engine.Tensors;
using QuantPS.Onnx.Model;

namespace QuantPS.Onnx.Operators;

/// <summary>Largest value of a window, which is the largest integer of it. 1 or 2 spatial dimensions.</summary>
public sealed class MaxPool : DataMovement
{
    public override string OpType => "MaxPool";

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
        Window given = Window.Of(context.Context.Node, context.Context.Node.GetInts("kernel_shape")!,
            context.Context.Types[context.Context.Node.Input[0]], out _)!;
        bool ceil = context.Context.Node.GetInt("ceil_mode", 0) != 0;
        bool line = given.Kernel.Length == 1;
        // A line is an image of height 1.
        Window w = line
            ? new Window([1, given.Kernel[0]], [1, given.Stride[0]], [1, given.Dilation[0]], [0, given.PadBegin[0]], [0, given.PadEnd[0]])
            : given;
        return inputs =>
        {
            QuantizedTensor x = inputs[0];
            int height = line ? 1 : x.Dims[2], width = x.Dims[^1];
            int outHeight = OutputSize(w, 0, height, ceil), outWidth = OutputSize(w, 1, width, ceil);
            int[] shape = line ? [x.Dims[0], x.Dims[1], outWidth] : [x.Dims[0], x.Dims[1], outHeight, outWidth];
            QuantizedTensor y = QuantizedTensor.Allocate(shape, x.QParams);
            PoolShape windows = PoolShape.Of([height, width], [outHeight, outWidth], w.Kernel, w.Stride, w.PadBegin, w.Dilation);
            MaxPoolKernel.Run(x.Memory, y.Memory, x.Dims[0], x.Dims[1], windows, x.DType, KernelLayout.Contiguous);
            return y;
        };
    }

    private static int OutputSize(Window w, int d, int size, bool ceil)
    {
        int room = size + w.PadBegin[d] + w.PadEnd[d] - w.Dilation[d] * (w.Kernel[d] - 1) - 1;
        int output = (ceil ? (room + w.Stride[d] - 1) / w.Stride[d] : room / w.Stride[d]) + 1;
        // A window that begins behind the image and its front padding does not count.
        return ceil && (output - 1) * w.Stride[d] >= size + w.PadBegin[d] ? output - 1 : output;
    }
}
