using QuantPS.Engine.Numerics;
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
            // qint8 bytes in the order of quint8 ones: flip the sign bit.
            byte flip = x.DType == QDType.QInt8 ? (byte)0x80 : (byte)0;
            int planes = x.Dims[0] * x.Dims[1];
            for (int plane = 0; plane < planes; plane++)
                Pool(w, x.Bytes.Slice(plane * height * width, height * width), height, width,
                    y.Bytes.Slice(plane * outHeight * outWidth, outHeight * outWidth), outWidth, flip);
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

    private static void Pool(Window w, ReadOnlySpan<byte> from, int height, int width, Span<byte> to, int outWidth, byte flip)
    {
        for (int i = 0; i < to.Length; i++)
        {
            int top = i / outWidth * w.Stride[0] - w.PadBegin[0], left = i % outWidth * w.Stride[1] - w.PadBegin[1];
            byte best = 0;
            for (int r = 0; r < w.Kernel[0]; r++)
            {
                int y = top + r * w.Dilation[0];
                if ((uint)y >= (uint)height)
                    continue;
                for (int c = 0; c < w.Kernel[1]; c++)
                {
                    int x = left + c * w.Dilation[1];
                    if ((uint)x < (uint)width)
                        best = Math.Max(best, (byte)(from[y * width + x] ^ flip));
                }
            }
            to[i] = (byte)(best ^ flip);
        }
    }
}
