using QuantPS.Engine.Errors;
using QuantPS.Engine.Kernels;
using QuantPS.Engine.Kernels.Selection;
using QuantPS.Engine.Numerics;
using QuantPS.Engine.Tensors;

namespace QuantPS.Engine.Layers;

/// <summary>Matrix product of two activations, as in attention: [..., rows, depth] x [..., depth, columns], leading dimensions broadcast, vectors as rows or
/// columns (numpy.matmul).</summary>
/// <remarks>Source: onnx docs/Operators.md, QLinearMatMul; onnxruntime/core/providers/cpu/quantization/quantize_linear_matmul.cc: exact int32 sums, times
/// float32 (s_a * s_b / s_y), rounded half to even, plus the zero point, saturated. PyTorch has no integers for it outside QNNPACK: its quantized::matmul
/// dequantizes (aten/native/quantized/cpu/qmatmul.cpp), which is the same but for float32 sums.</remarks>
public sealed class QuantizedMatMul
{
    private readonly QParams left, right;
    private Shape? shape;

    /// <param name="left">8-bit parameters of the left operand.</param>
    /// <param name="right">8-bit parameters of the right one.</param>
    /// <param name="output">8-bit parameters of the product.</param>
    /// <exception cref="QuantException">UnsupportedDType, InvalidForcedKernel.</exception>
    public QuantizedMatMul(QParams left, QParams right, QParams output)
    {
        OperatorChecks.EightBit(left, "The left operand");
        OperatorChecks.EightBit(right, "The right operand");
        OperatorChecks.EightBit(output, "The product");
        this.left = left;
        this.right = right;
        OutputQParams = output;
        Kernel = KernelSelector.Select(new MatMulProblem
        {
            LeftZeroPoint = left.ZeroPoints[0],
            LeftSigned = left.DType == QDType.QInt8,
            RightZeroPoint = right.ZeroPoints[0],
            RightSigned = right.DType == QDType.QInt8,
            Multiplier = left.Scales[0] * right.Scales[0] / output.Scales[0],
            OutputZeroPoint = output.ZeroPoints[0],
            OutputSigned = output.DType == QDType.QInt8,
        });
    }

    public QParams OutputQParams { get; }

    /// <summary>What -Verbose shows.</summary>
    public string KernelName => Kernel.Name;

    private MatMulKernel Kernel { get; }

    /// <param name="a">[..., rows, depth] or [depth], in the left operand's parameters.</param>
    /// <param name="b">[..., depth, columns] or [depth], in the right operand's.</param>
    /// <exception cref="QuantException">ShapeMismatch; UnsupportedDType: other parameters than those that the product was made for.</exception>
    public QuantizedTensor Run(QuantizedTensor a, QuantizedTensor b)
    {
        Check(a, left, "left");
        Check(b, right, "right");
        Shape s = shape is { } known && known.Fits(a, b) ? known : shape = Shape.Of(a, b);
        QuantizedTensor y = OperatorChecks.NewTensor(s.Output, OutputQParams, a);
        Kernel.Run(a.Memory, b.Memory, s.Stack, y.Memory);
        return y;
    }

    private static void Check(QuantizedTensor x, QParams expected, string which)
    {
        if (!OperatorChecks.SameParameters(x.QParams, expected))
            throw new QuantException(ErrorIds.UnsupportedDType, $"The {which} operand is {x.QParams}, but the product was made for {expected}.", x);
    }

    /// <param name="A">Shape of the left operand.</param>
    /// <param name="B">Shape of the right one.</param>
    /// <param name="Output">Shape of the product.</param>
    /// <param name="Stack">The matrices.</param>
    private sealed record Shape(int[] A, int[] B, int[] Output, MatMulStack Stack)
    {
        public bool Fits(QuantizedTensor a, QuantizedTensor b) => a.Dims.SequenceEqual(A) && b.Dims.SequenceEqual(B);

        public static Shape Of(QuantizedTensor a, QuantizedTensor b)
        {
            int[] left = a.Rank == 1 ? [1, a.Dims[0]] : a.Shape, right = b.Rank == 1 ? [b.Dims[0], 1] : b.Shape;
            if (a.Rank == 0 || b.Rank == 0 || left[^1] != right[^2])
                throw Misfit();
            int rank = Math.Max(left.Length, right.Length) - 2;
            int[] batchA = Padded(left), batchB = Padded(right), batch = new int[rank];
            for (int d = 0; d < rank; d++)
            {
                (int p, int q) = (batchA[d], batchB[d]);
                batch[d] = p == q || q == 1 ? p : p == 1 ? q : throw Misfit();
            }
            var matrices = new (int A, int B)[TensorShape.Count(batch)];
            for (int i = 0; i < matrices.Length; i++)
                matrices[i] = (Number(i, batchA), Number(i, batchB));
            int[] output = [.. batch, .. a.Rank == 1 ? (int[])[] : [left[^2]], .. b.Rank == 1 ? (int[])[] : [right[^1]]];
            return new(a.Shape, b.Shape, output, new MatMulStack(left[^2], left[^1], right[^1], [.. matrices.Select(m => m.A)], [.. matrices.Select(m => m.B)]));

            int[] Padded(int[] shape) => [.. Enumerable.Repeat(1, rank - (shape.Length - 2)), .. shape[..^2]];

            int Number(int product, int[] own)
            {
                int number = 0, step = 1;
                for (int d = rank - 1; d >= 0; d--)
                {
                    (product, int at) = Math.DivRem(product, batch[d]);
                    number += own[d] == 1 ? 0 : at * step;
                    step *= own[d];
                }
                return number;
            }

            QuantException Misfit() => new(ErrorIds.ShapeMismatch,
                $"[{TensorShape.Format(a.Dims)}] cannot be multiplied with [{TensorShape.Format(b.Dims)}]: the left operand's columns have to be the right one's rows, "
                + "and leading dimensions equal or 1.", a);
        }
    }
}
