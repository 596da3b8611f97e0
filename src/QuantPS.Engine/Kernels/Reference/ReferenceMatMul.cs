using QuantPS.Engine.Numerics;

namespace QuantPS.Engine.Kernels.Reference;

/// <summary>The oracle for products of activations: int32 sum of (a - z_a)(b - z_b), times the multiplier in float32, rounded half to even, plus the zero
/// point, saturated.</summary>
public sealed class ReferenceMatMul(MatMulProblem problem) : MatMulKernel
{
    public override string Name => "reference-matmul";

    public override void Run(ReadOnlyMemory<byte> left, ReadOnlyMemory<byte> right, MatMulStack stack, Memory<byte> output) =>
        KernelThreads.Split(stack.Products * stack.Rows, (first, end) =>
        {
            for (int row = first; row < end; row++)
            {
                (int product, int r) = Math.DivRem(row, stack.Rows);
                ReadOnlySpan<byte> a = left.Span.Slice((stack.Left[product] * stack.Rows + r) * stack.Depth, stack.Depth);
                ReadOnlySpan<byte> b = right.Span.Slice(stack.Right[product] * stack.Depth * stack.Columns, stack.Depth * stack.Columns);
                Span<byte> y = output.Span.Slice(row * stack.Columns, stack.Columns);
                for (int c = 0; c < y.Length; c++)
                {
                    int sum = 0;
                    for (int k = 0; k < a.Length; k++)
                        sum += (Value(a[k], problem.LeftSigned) - problem.LeftZeroPoint) * (Value(b[k * stack.Columns + c], problem.RightSigned) - problem.RightZeroPoint);
                    y[c] = Requantize(sum);
                }
            }
        });

    private byte Requantize(int sum)
    {
        (int low, int high) = problem.OutputSigned ? ((int)sbyte.MinValue, (int)sbyte.MaxValue) : (byte.MinValue, byte.MaxValue);
        return unchecked((byte)(Rounding.Saturate(sum * problem.Multiplier, low - problem.OutputZeroPoint, high - problem.OutputZeroPoint) + problem.OutputZeroPoint));
    }

    private static int Value(byte b, bool signed) => signed ? (sbyte)b : b;
}
