using QuantPS.Engine.Layers;
using QuantPS.Onnx.Model;
using QuantPS.Onnx.Model.Proto;

namespace QuantPS.Onnx.Operators;

/// <summary>Stride, padding and dilation of ConvTranspose nodes, with auto_pad and output_shape turned into numbers.</summary>
/// <remarks>Source: onnx docs/Operators.md, ConvTranspose, and ONNX Runtime's core/providers/cpu/nn/conv_transpose_attributes.h: what is too much is cut off on both sides, and an odd rest
/// at the beginning, but with SAME_UPPER at the end.</remarks>
internal static class TransposedWindow
{
    /// <param name="node">A ConvTranspose node.</param>
    /// <param name="kernel">Sizes of the kernel.</param>
    /// <param name="input">Type of the input, for output_shape.</param>
    /// <returns>null where the given output is larger than what the windows cover, or the paddings depend on the input's size and the model leaves it open.</returns>
    public static ConvTransposeGeometry? Of(NodeProto node, int[] kernel, Execution.ValueType? input)
    {
        int rank = kernel.Length;
        int[] strides = node.GetInts("strides") ?? Filled(1), dilations = node.GetInts("dilations") ?? Filled(1), outputPadding = node.GetInts("output_padding") ?? Filled(0);
        int[] pads = node.GetInts("pads") ?? new int[2 * rank], begin = pads[..rank], end = pads[rank..];
        int[]? outputs = node.GetInts("output_shape");
        string mode = node.GetString("auto_pad", "NOTSET");
        bool isSame = mode is "SAME_UPPER" or "SAME_LOWER";
        if (outputs is not null && outputs.Length != rank)
            return null;
        for (int d = 0; d < rank; d++)
        {
            int size = input is not null && input.Rank == rank + 2 ? input.Dims[d + 2] : -1;
            if (outputs is null && !isSame)
            {
                if (mode == "VALID")
                    begin[d] = end[d] = 0;
                continue;
            }
            if (outputs is not null && size < 0)
                return null;
            // The windows' reach over what is wanted: output_shape, or as many as inputs and strides.
            int over = dilations[d] * (kernel[d] - 1) + 1 + outputPadding[d] - strides[d] - (outputs is null ? 0 : outputs[d] - size * strides[d]);
            if (over < 0)
                return null;
            begin[d] = mode == "SAME_UPPER" ? over / 2 : over - over / 2;
            end[d] = over - begin[d];
        }
        return Array.Exists(outputPadding.Zip(strides, dilations).ToArray(), p => p.First >= Math.Max(p.Second, p.Third)) || begin.Concat(end).Any(p => p < 0) ? null
            : new ConvTransposeGeometry(kernel, strides, begin, outputPadding, dilations, checked((int)node.GetInt("group", 1)), end);

        int[] Filled(int value) => [.. Enumerable.Repeat(value, rank)];
    }
}
