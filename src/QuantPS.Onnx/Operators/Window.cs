using QuantPS.Onnx.Execution;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>Stride, padding and dilation of Conv and pooling nodes, with auto_pad turned into numbers.</summary>
/// <remarks>Source: onnx docs/Operators.md, Conv and MaxPool.</remarks>
internal sealed record Window(int[] Kernel, int[] Stride, int[] Dilation, int[] PadBegin, int[] PadEnd)
{
    /// <param name="node">A Conv or pooling node.</param>
    /// <param name="kernel">Sizes of the kernel.</param>
    /// <param name="input">Type of the input, for auto_pad.</param>
    /// <param name="problem">Why it cannot be told, if so.</param>
    public static Window? Of(NodeProto node, int[] kernel, Execution.ValueType? input, out string? problem)
    {
        problem = null;
        int rank = kernel.Length;
        int[] strides = node.GetInts("strides") ?? Ones(), dilations = node.GetInts("dilations") ?? Ones();
        int[] pads = node.GetInts("pads") ?? new int[2 * rank];
        string mode = node.GetString("auto_pad", "NOTSET");
        if (mode == "VALID")
            pads = new int[2 * rank];
        if (mode is not ("SAME_UPPER" or "SAME_LOWER"))
            return new Window(kernel, strides, dilations, pads[..rank], pads[rank..]);
        int[] begin = new int[rank], end = new int[rank];
        for (int d = 0; d < rank; d++)
        {
            int reach = dilations[d] * (kernel[d] - 1) + 1;
            int size = input is not null && input.Rank == rank + 2 ? input.Dims[d + 2] : -1;
            if (strides[d] != 1 && size < 0)
            {
                problem = $"its padding ({mode}) depends on the input's size, which the model leaves open";
                return null;
            }
            int output = strides[d] == 1 ? size : (size + strides[d] - 1) / strides[d];
            int total = Math.Max(0, strides[d] == 1 ? reach - 1 : (output - 1) * strides[d] + reach - size);
            begin[d] = mode == "SAME_UPPER" ? total / 2 : total - total / 2;
            end[d] = total - begin[d];
        }
        return new Window(kernel, strides, dilations, begin, end);

        int[] Ones() => [.. Enumerable.Repeat(1, rank)];
    }
}
